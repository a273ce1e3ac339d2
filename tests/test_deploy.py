"""deploy/ apart from Kubernetes: the image's steps, the systemd unit, alert rules, board and runbook, completions and manual pages."""

import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness.commands import run
from harness.tools import ROOT, sealgate, tool

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"


def load_script(name: str):
    """A script of scripts/ as a module."""
    loader = importlib.machinery.SourceFileLoader(f"script_{name}", str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def static():
    return load_script("static")


# The image


def test_image_is_small_static_and_nobodys(static):
    image = static.read(static.DOCKERFILE.read_text())
    assert image.bases[-1] == "scratch", "no shell, no libraries"
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", image.user), "a number, not 0: Kubernetes looks for it"
    toolchain = re.search(r'channel = "([^"]+)"', (ROOT / "rust-toolchain.toml").read_text()).group(1)
    assert image.bases[0].startswith(f"rust:{toolchain}-")
    (build,) = [words for words in image.run if words[:2] == ["cargo", "build"]]
    assert {"--release", "--locked", "--no-default-features"} <= set(build)
    assert build[build.index("--features") + 1] == "gate"
    target = build[build.index("--target") + 1]
    assert target.endswith("-linux-musl") and ["rustup", "target", "add", target] in image.run
    assert (f"{image.workdir}/target/{target}/release/sealgate", image.entrypoint[0]) in image.copy
    assert "/etc/ssl/certs/ca-certificates.crt" in dict(image.copy).values(), "stores behind https are checked against it"


def test_image_and_manifests_agree(static):
    """What the image runs is what manifests and Compose run, as the same user."""
    image = static.read(static.DOCKERFILE.read_text())
    user, group = image.user.split(":")
    for name in ("gateway/deployment.yaml", "sidecar/sidecar.yaml"):
        text = (DEPLOY / "kubernetes" / "overlays" / name).read_text()
        assert f"runAsUser: {user}" in text and f"runAsGroup: {group}" in text, name
        assert f"args: [{', '.join(image.cmd)}]" in text, name
    compose = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yaml").read_text())["services"]["sealgate"]
    assert compose["user"] == image.user and compose["command"] == image.cmd


def test_script_takes_the_dockerfiles_steps(static, tmp_path, monkeypatch):
    """scripts/static runs the RUN lines and copies by the COPY lines of the Dockerfile, in their order, and nothing else."""
    image = static.read(static.DOCKERFILE.read_text())
    target = tmp_path / "target"
    monkeypatch.setenv("CARGO_TARGET_DIR", str(target))
    monkeypatch.setattr(static, "check_machine", lambda _: None)
    built = next(source for source, place in image.copy if place == image.entrypoint[0])
    artefact = target / built.removeprefix(f"{image.workdir}/target/")
    ran = []

    def pretend(words, **_):
        ran.append(words)
        if words[:2] == ["cargo", "build"]:
            artefact.parent.mkdir(parents=True)
            # An ELF header without segments: static.
            artefact.write_bytes(b"\x7fELF".ljust(64, b"\0"))

    monkeypatch.setattr(static.subprocess, "run", pretend)
    static.build(image, tmp_path / "root")
    assert ran == [line.removeprefix("RUN ").split() for line in static.DOCKERFILE.read_text().splitlines()
                   if line.startswith("RUN ") and "apt-get" not in line]
    files = {"/" + str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert files == {place for _, place in image.copy}
    for line in ("RUN a && b", "ADD x /x", "SHELL [\"sh\"]"):
        with pytest.raises(SystemExit):
            static.read(f"FROM a AS build\n{line}\nFROM scratch\n")


def test_runs_in_an_empty_read_only_root(static, tmp_path, capfd):
    """The tests' binary with the libraries that it wants; `make static` does it with the static one, and nothing else."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(sealgate(), root / "sealgate")
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", sealgate()], capture_output=True, text=True, check=True, timeout=30).stdout)
    assert static.dynamic(root / "sealgate") and libraries
    for library in libraries:
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    static.attempt(static.read(static.DOCKERFILE.read_text()), root)
    said = capfd.readouterr().out
    assert "/healthz: 200" in said and "exit after SIGTERM: 0" in said


# systemd


def test_systemd_unit(tmp_path):
    text = (DEPLOY / "systemd" / "sealgate.service").read_text()
    unit = tmp_path / "sealgate.service"
    unit.write_text(text.replace("/usr/bin/sealgate", str(sealgate())))
    analyze = tool("systemd-analyze")
    done = run([analyze, "verify", "--man=no", unit]).ok()
    assert not [line for line in (done.out + done.err).splitlines() if "sealgate" in line], done
    # 0 is locked down whole, 10 not at all; what is left is the network, which a proxy needs.
    run([analyze, "security", "--offline=true", "--no-pager", "--threshold=15", unit]).ok()
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.M).group(1))
    assert stop > 30, "the default of shutdown.drain"


def unit_settings() -> dict[str, list[str]]:
    found = {}
    for line in (DEPLOY / "systemd" / "sealgate.service").read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_systemd_user_can_read_keys():
    """Keys and configurations of root alone are no use: the unit has a user whom files can be for, and sysusers makes it."""
    settings = unit_settings()
    (user,), (group,) = settings["User"], settings["Group"]
    assert "DynamicUser" not in settings
    lines = [line.split() for line in (DEPLOY / "systemd" / "sealgate.conf").read_text().splitlines() if not line.startswith("#")]
    assert [(line[0], line[1]) for line in lines] == [("u", user)] and group == user
    # What it takes the place of is set by itself.
    for name in ("PrivateTmp", "RemoveIPC", "NoNewPrivileges", "RestrictSUIDSGID"):
        assert settings[name] == ["yes"], name
    assert settings["ProtectSystem"] == ["strict"] and settings["ProtectHome"] == ["yes"]


def test_systemd_unit_does_not_hand_over():
    """systemd ends what is left when the main process has ended, the successor included: nothing in the unit is made for it."""
    settings = unit_settings()
    assert "RuntimeDirectory" not in settings and "Type" not in settings
    assert not any("--upgrade" in value or "QUIT" in value for values in settings.values() for value in values)
    text = " ".join((DEPLOY / "systemd" / "sealgate.service").read_text().replace("\n#", " ").split())
    assert "A hand-over (`run --upgrade`) is not for this unit" in text


def test_store_of_compose_can_be_pulled():
    """MinIO's repository, and a release of which there is an image: the last is of 2025-09-07."""
    image = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yaml").read_text())["services"]["minio"]["image"]
    date = re.fullmatch(r"minio/minio:RELEASE\.(\d{4}-\d\d-\d\d)T\d\d-\d\d-\d\dZ", image)
    assert date and date.group(1) <= "2025-09-07"


# Alerts, board, runbook


def alerts() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_alert_rules():
    run([tool("promtool"), "check", "rules", RULES]).ok()
    done = run([tool("promtool"), "test", "rules", RULES.with_name("rules_test.yaml")])
    assert done.code == 0, done
    tests = yaml.safe_load(RULES.with_name("rules_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in alerts():
        mine = [case for case in cases if case["alertname"] == rule["alert"]]
        assert any(case.get("exp_alerts") for case in mine), f"{rule['alert']} is never seen to fire"
        assert any(not case.get("exp_alerts") for case in mine), f"{rule['alert']} is never seen not to fire"


def test_each_alert_has_its_paragraph():
    text = (ROOT / "docs" / "runbook.md").read_text()
    paragraphs = {title: body for title, body in re.findall(r"^## (\w+)\n\n(.+?)(?=\n## |\Z)", text, re.M | re.S)}
    names = [rule["alert"] for rule in alerts()]
    assert list(paragraphs) == names
    for rule in alerts():
        assert len(paragraphs[rule["alert"]].split()) > 30, rule["alert"]
        # An address of its own where Prometheus is told one (rules_test.yaml has both), and the way in the repository else.
        assert rule["annotations"]["runbook_url"] == f'{{{{ or $externalLabels.sealgate_runbook "docs/runbook.md" }}}}#{rule["alert"].lower()}'
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_board_is_whole():
    board = json.loads((DEPLOY / "grafana" / "sealgate.json").read_text())
    panels = board["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    areas = [(p["gridPos"]["x"] + x, p["gridPos"]["y"] + y) for p in panels for x in range(p["gridPos"]["w"]) for y in range(p["gridPos"]["h"])]
    assert len(areas) == len(set(areas)), "panels overlap"
    assert {v["name"] for v in board["templating"]["list"]} == {"datasource", "job", "instance"}


# Completions and manual pages


def test_completions_of_bash():
    script = run([sealgate(), "completions", "bash"]).ok().out
    # As bash would call it for `sealgate po<TAB>` and `sealgate policy pr<TAB>`.
    ask = script + """
complete_for() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _sealgate sealgate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[*]}"; }
complete_for sealgate po
complete_for sealgate policy pr
complete_for sealgate check --con
"""
    done = run(["bash", "--norc", "-c", ask]).ok()
    assert done.out.splitlines() == ["policy", "prove", "--config"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "elvish", "powershell"])
def test_completions_of_other_shells(shell):
    assert "policy" in run([sealgate(), "completions", shell]).ok().out


def test_completions_of_no_shell():
    assert run([sealgate(), "completions", "cmd"]).code == 2


def test_manual_pages(tmp_path):
    page = run([sealgate(), "man"]).ok().out
    assert ".TH sealgate 1" in page
    run([sealgate(), "man", "--dir", tmp_path / "man"]).ok()
    pages = {path.name for path in (tmp_path / "man").iterdir()}
    assert {"sealgate.1", "sealgate-run.1", "sealgate-check.1", "sealgate-policy.1", "sealgate-policy-prove.1"} <= pages
    assert "\\-\\-config" in (tmp_path / "man" / "sealgate-run.1").read_text()
    # A folder that cannot be made.
    (tmp_path / "file").write_text("")
    done = run([sealgate(), "man", "--dir", tmp_path / "file" / "man"])
    assert done.code == 2 and "cannot be written" in done.err


def test_tools_name_the_packages():
    """What these tests run is installed by scripts/tools, or named where that is not possible."""
    script = (ROOT / "scripts" / "tools").read_text()
    for word in ("prometheus:prometheus", "promtool:prometheus", "systemd-analyze:systemd", "kustomize"):
        assert word in script, word
    assert os.access(ROOT / "scripts" / "static", os.X_OK)
