"""deploy/compose as plain processes: MinIO, Sealgate with its configuration, a real Prometheus that scrapes it with the alert rules, the
board's queries, and an alert that fires."""

import http.client
import json
import math
import os
import re
import shutil
import signal
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError

from harness.boto import client
from harness.process import Process, free_port, listening, page, wait_until
from harness.stores import MinioKms
from harness.tools import ROOT, sealgate, tool
from harness.wire import Wire

COMPOSE = ROOT / "deploy" / "compose"
FILE = yaml.safe_load((COMPOSE / "docker-compose.yaml").read_text())
SERVICES = FILE["services"]


def example_environment() -> dict[str, str]:
    lines = (COMPOSE / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# What Compose would be told


def test_services_hold_together():
    assert SERVICES.keys() == {"minio", "sealgate", "prometheus", "grafana"}
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[a-z][a-z0-9/]*:[\w.-]+", service["image"]) and "latest" not in service["image"], name
        assert set(service["networks"]) <= FILE["networks"].keys()
        for volume in service.get("volumes", []):
            source, _, _ = volume.partition(":")
            if source.startswith("."):
                assert (COMPOSE / source).exists(), f"{name}: {source}"
                assert volume.endswith(":ro")
            else:
                assert source in FILE["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the network"
    build = SERVICES["sealgate"]["build"]
    assert (COMPOSE / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).is_file()


def test_there_is_one_way_to_the_store():
    assert SERVICES["minio"]["networks"] == ["store"] and "ports" not in SERVICES["minio"]
    assert FILE["networks"]["store"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "store" in service["networks"]] == ["minio", "sealgate"]


def test_sealgate_is_locked_down():
    service = SERVICES["sealgate"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    drain = yaml.safe_load((COMPOSE / "sealgate" / "sealgate.yaml").read_text())["shutdown"]["drain"]
    assert int(service["stop_grace_period"].rstrip("s")) > int(drain.rstrip("s"))


def test_every_variable_has_an_example_and_must_be_set():
    text = (COMPOSE / "docker-compose.yaml").read_text()
    asked = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert {name for name, _ in asked} == example_environment().keys()
    assert all(rest.startswith(":?") for _, rest in asked), "none has a default"
    given = SERVICES["sealgate"]["environment"].keys()
    assert set(re.findall(r"\$\{(\w+)\}", (COMPOSE / "sealgate" / "sealgate.yaml").read_text())) <= given


def test_grafana_finds_prometheus_and_the_board():
    (source,) = yaml.safe_load((COMPOSE / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text())["providers"]
    assert f"../grafana:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    assert json.loads((ROOT / "deploy" / "grafana" / "sealgate.json").read_text())["uid"] == "sealgate"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])


# What the containers run


def substitute(text: str, *pairs: tuple[str, str]) -> str:
    """Each of these stands there, or the test would not run what Compose runs."""
    for old, new in pairs:
        assert old in text, f"{old} is not in {text}"
        text = text.replace(old, new)
    return text


class Stack:
    """The processes, and where they listen."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        self.env = example_environment()
        self.port, self.admin, self.prometheus = free_port(), free_port(), free_port()
        self.running = []
        self.store = MinioKms(folder)
        self.store.access_key, self.store.secret_key = self.env["MINIO_ROOT_USER"], self.env["MINIO_ROOT_PASSWORD"]
        self.store.extra_env = {"MINIO_KMS_SECRET_KEY": self.env["MINIO_KMS_SECRET_KEY"]}

    def start(self):
        self.running.append(self.store)
        self.store.start()
        config = self.folder / "sealgate.yaml"
        config.write_text(substitute(
            (COMPOSE / "sealgate" / "sealgate.yaml").read_text(), ("0.0.0.0:8080", f"127.0.0.1:{self.port}"), ("0.0.0.0:9090", f"127.0.0.1:{self.admin}"),
            ("minio:9000", self.store.address)))
        assert SERVICES["sealgate"]["volumes"] == ["./sealgate:/etc/sealgate/config:ro"]
        words = SERVICES["sealgate"]["command"]
        words = [str(config) if word == "/etc/sealgate/config/sealgate.yaml" else word for word in words]
        self.gate = Process("sealgate", [sealgate(), *words], self.folder / "sealgate.log", {name: self.env[name] for name in SERVICES["sealgate"]["environment"]})
        self.running.append(self.gate)
        self.gate.wait_ready(lambda: listening(self.port) and listening(self.admin))
        self.start_prometheus()
        self.s3 = client(f"http://127.0.0.1:{self.port}", self.store)
        for bucket in ("data", "trial-new", "public-web"):
            self.s3.create_bucket(Bucket=bucket)

    def start_prometheus(self):
        config = self.folder / "prometheus.yml"
        # Every second instead of every quarter of a minute: the alert's own times stay as they are.
        config.write_text(substitute(
            (COMPOSE / "prometheus" / "prometheus.yml").read_text(), ("sealgate:9090", f"127.0.0.1:{self.admin}"), (" 15s", " 1s")))
        shutil.copy(ROOT / "deploy" / "prometheus" / "rules.yaml", self.folder)
        assert "../prometheus/rules.yaml:/etc/prometheus/rules.yaml:ro" in SERVICES["prometheus"]["volumes"]
        words = [substitute(word, ("/etc/prometheus/prometheus.yml", str(config))) if "config.file" in word
                 else substitute(word, ("/prometheus", str(self.folder / "tsdb"))) for word in SERVICES["prometheus"]["command"]]
        process = Process("prometheus", [tool("prometheus"), *words, f"--web.listen-address=127.0.0.1:{self.prometheus}"],
                          self.folder / "prometheus.log")
        self.running.append(process)
        process.wait_ready(lambda: self.ask("/-/ready")[0] == 200)

    def ask(self, path: str) -> tuple[int, str]:
        return page(self.prometheus, path, timeout=10)

    def api(self, path: str, **parameters: str):
        status, text = self.ask(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, (path, parameters, text)
        return json.loads(text)["data"]

    def values(self, query: str, at: float | None = None) -> list[float]:
        """`at`: as they stood then, in seconds since 1970."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        return [float(sample["value"][1]) for sample in self.api("query", query=query, **when)["result"]]

    def work(self):
        """A bit of everything that the board shows."""
        for key in ("a", "b"):
            self.s3.put_object(Bucket="data", Key=key, Body=b"x" * 4096, ServerSideEncryption="AES256")
            self.s3.get_object(Bucket="data", Key=key)["Body"].read()
            self.s3.put_object(Bucket="public-web", Key=key, Body=b"plain")
            self.s3.put_object(Bucket="trial-new", Key=key, Body=b"not yet encrypted")
            with pytest.raises(ClientError) as denied:
                self.s3.put_object(Bucket="data", Key=key, Body=b"plain")
            assert denied.value.response["Error"]["Code"] == "AccessDenied"
        # Without Expect, so that the refused body is drained.
        with Wire(f"127.0.0.1:{self.port}") as wire:
            wire.request("PUT", "/data/c", body=b"x" * 100_000)
            assert wire.final("PUT")[1].status == 403
        # Not S3's: decision `error`.
        with Wire(f"127.0.0.1:{self.port}") as wire:
            wire.request("BREW", "/data/c")
            assert wire.final("BREW")[1].status == 405

    def stop(self):
        for process in reversed(self.running):
            process.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("compose") / "stack")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def board_queries() -> list[tuple[str, str]]:
    board = json.loads((ROOT / "deploy" / "grafana" / "sealgate.json").read_text())
    queries = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [(note["name"], note["expr"]) for note in board["annotations"]["list"]]
    queries += [(v["name"], v["query"]["query"]) for v in board["templating"]["list"] if v["type"] == "query"]
    return queries


def plain(query: str) -> str:
    """A query of the board with Grafana's variables replaced, as they are with `All` chosen; `label_values(s, l)` as what it asks for."""
    asked = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    if asked:
        query = f"count by ({asked[2]}) ({asked[1]})"
    for name, value in (("$__rate_interval", "1m"), ("$__range", "5m"), ("$job", ".*"), ("$instance", ".*")):
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def test_alert_fires_and_no_query_of_the_board_is_empty(stack):
    assert stack.values('up{job="sealgate"}') in ([], [1.0])
    waiting = {(title, query) for title, query in board_queries()}
    firing = {}
    end = time.monotonic() + 30
    while (waiting or "SealgateWritesRefused" not in firing) and time.monotonic() < end:
        stack.work()
        waiting = {(title, query) for title, query in waiting
                   if not any(math.isfinite(value) for value in stack.values(plain(query)))}
        firing = {alert["labels"]["alertname"]: alert for alert in stack.api("alerts")["alerts"] if alert["state"] == "firing"}
        time.sleep(0.3)
    assert not waiting, f"no data: {waiting}"
    alert = firing.pop("SealgateWritesRefused")
    assert {"operation": "PutObject", "reason": "policy", "severity": "info", "job": "sealgate"}.items() <= alert["labels"].items()
    assert "PutObject" in alert["annotations"]["description"]
    assert not firing, "nothing else is wrong"
    # What Prometheus has seen is what happened: only report mode and the public bucket let plain objects in.
    assert stack.values('sum(sealgate_put_encryption_total{how="client"})')[0] > 0
    refused = wait_until("both have it", lambda: same(stack))
    assert refused > 0


def same(stack) -> float | None:
    """Refused PutObjects as Prometheus sees them, once that is what Sealgate says of itself."""
    link = http.client.HTTPConnection("127.0.0.1", stack.admin, timeout=5)
    link.request("GET", "/metrics")
    text = link.getresponse().read().decode()
    link.close()
    own = re.search(r'^sealgate_denied_total\{operation="PutObject",reason="policy"\} (\d+)', text, re.M)
    (seen,) = stack.values('sum(sealgate_denied_total{operation="PutObject",reason="policy"})')
    return seen if own and float(own[1]) == seen else None


def test_rules_are_loaded_and_evaluate(stack):
    groups = stack.api("rules", type="alert")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {
        rule["alert"] for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"] for rule in group["rules"]}
    wait_until("every rule was evaluated", lambda: all(
        rule["health"] == "ok" for group in stack.api("rules", type="alert")["groups"] for rule in group["rules"]))


def test_every_metric_that_is_asked_for_is_served(stack):
    """A metric with another name would leave an alert silent for ever."""
    stack.work()
    link = http.client.HTTPConnection("127.0.0.1", stack.admin, timeout=5)
    link.request("GET", "/metrics")
    served = set(re.findall(r"^# TYPE (\w+) ", link.getresponse().read().decode(), re.M))
    link.close()
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
    texts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]] + [query for _, query in board_queries()]
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for text in texts for name in re.findall(r"\b(?:sealgate|process)_\w+", text)}
    # Only where a listener has a certificate; test_tls_listeners.py looks at it.
    asked.remove("sealgate_tls_certificate_not_after_timestamp_seconds")
    assert asked and asked <= served, asked - served


def test_admin_port_is_for_the_networks_of_compose_alone():
    assert not any("9090" in port.split(":")[-1] for port in SERVICES["sealgate"]["ports"])


class Working:
    """Does the work again and again, until it is told to end."""

    def __init__(self, stack: Stack):
        self.stack, self.rounds, self.failed = stack, 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            try:
                self.stack.work()
            # pytest's own failures are no Exceptions.
            except BaseException as e:
                self.failed.append(repr(e))
            self.rounds += 1

    def goes_on(self, rounds: int = 3):
        enough = self.rounds + rounds
        wait_until("work", lambda: self.rounds >= enough, 20)

    def end(self):
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_prometheus_is_killed(stack):
    """Sealgate's clients do not notice, and what was scraped before is still there when Prometheus is back."""
    query = "sum(sealgate_requests_total)"
    working = Working(stack)
    try:
        working.goes_on()
        wait_until("a sample", lambda: stack.values(query), 20)
        then = time.time()
        wait_until("a later sample", lambda: stack.values(query) > stack.values(query, then), 20)
        (before,) = stack.values(query, then)
        assert before > 0
        prometheus = next(process for process in stack.running if process.name == "prometheus")
        os.kill(prometheus.pid, signal.SIGKILL)
        assert prometheus.wait(5) == -signal.SIGKILL
        working.goes_on()
        assert stack.ask("/-/ready")[0] == 0, "it is still gone"
        stack.running.remove(prometheus)
        prometheus.stop()
        stack.start_prometheus()
        back = time.time()
        # A new database has nothing from before it began.
        assert stack.values(query, then) == [before]
        wait_until("a new sample", lambda: stack.values(f"min(timestamp(up{{job=\"sealgate\"}}))") > [back], 30)
        wait_until("that it is up", lambda: stack.values('up{job="sealgate"}') == [1.0], 20)
        (after,) = stack.values(query)
        assert after > before
        working.goes_on()
    finally:
        working.end()
    assert working.failed == [] and working.rounds >= 9
