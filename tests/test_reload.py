"""No change of configuration is missed, whenever it comes; what is broken is read again only once something changes."""

import json
import os
import signal
import time

import yaml

from harness.life import OPEN, STRICT, generation, hang_up, in_force, put, write
from harness.process import Process, wait_until
from harness.sealgate import Sealgate
from harness.tools import sealgate


def test_change_while_a_successor_waits(own):
    """`run --upgrade` has read the configuration and waits for the listeners while it is changed."""
    proxy = own(rules=OPEN, upgrade_socket="upgrade.sock", shutdown={"drain": "2s"})
    before = proxy.process
    successor = Process("sealgate", [sealgate(), "run", "--config", proxy.config_file, "--upgrade"], proxy.folder / "log2")
    try:
        time.sleep(1)
        write(proxy, rules=STRICT)
        os.kill(before.pid, signal.SIGQUIT)
        wait_until("the end of the old one", lambda: not before.alive(), 20)
        proxy.process = successor
        in_force(proxy, 2)
        assert put(proxy) == 403
    finally:
        successor.stop(10)


def test_a_file_that_is_being_written(own):
    """An editor or a copy writes it in pieces: the first of them says less than is meant."""
    proxy = own(rules=STRICT)
    text = proxy.config_file.read_text()
    half = text.replace("require: any", "")
    assert half != text
    whole = 0
    for i in range(6):
        with proxy.config_file.open("w") as file:
            file.write(half)
            file.flush()
            begun = time.monotonic()
            told = set()
            while time.monotonic() < begun + 0.25:
                told.add(put(proxy))
            file.seek(0)
            file.write(text + f"# {i}\n")
        if time.monotonic() < begun + 0.45:
            assert told == {403}
            whole += 1
        else:  # the machine is slow: the half was there for two looks
            wait_until("the whole file", lambda: put(proxy) == 403, 10)
        time.sleep(0.25)
    assert whole
    in_force(proxy, 2)
    assert put(proxy) == 403
    assert proxy.metric("sealgate_config_reloads_total", result="refused") == 0


def test_a_file_that_is_written_slowly(own):
    """It is put in force once it rests, however long that takes; until then it is only said."""
    proxy = own(rules=STRICT)
    text = proxy.config_file.read_text()
    half = text.replace("require: any", "")
    with proxy.config_file.open("w") as file:
        file.write(half)
        begun = time.monotonic()
        longest = 0
        while time.monotonic() < begun + 13:
            before = time.monotonic()
            file.write("# and on\n")
            file.flush()
            assert put(proxy) == 403 or longest > 0.45, "half a configuration is in force"
            time.sleep(0.2)
            longest = max(longest, time.monotonic() - before)
        file.seek(0)
        file.truncate()
        file.write(text)
    assert "keep changing" in proxy.process.output()
    in_force(proxy, 2)
    assert put(proxy) == 403


def padded(last: dict, count: int = 6000) -> list:
    """Rules that take a while to read, and one that matters."""
    return [{"bucket": f"pad{i}", "require": "AES256"} for i in range(count)] + [last]


def test_change_while_a_change_is_read(own, scratch):
    """The policy is named for the first time by the configuration that is being read when it changes."""
    proxy = own()
    policy = scratch / "second.json"
    for delay in (0.0, 0.05, 0.1, 0.2):
        policy.write_text(json.dumps({"tls": "1.0", "deny": ["sse-c"]}))
        number = generation(proxy)
        write(proxy, rules=[{"bucket": "b", "policy": str(policy)}] + padded({"bucket": "c"}))
        hang_up(proxy)
        time.sleep(delay)
        strict = policy.with_suffix(".new")
        strict.write_text(json.dumps({"require": "AES256"}))
        strict.rename(policy)
        wait_until("the stricter policy", lambda: put(proxy) == 403, 15)
        write(proxy, rules=OPEN)
        wait_until("the open rules", lambda: generation(proxy) > number and put(proxy) == 200, 15)


def test_change_that_keeps_size_and_time(own):
    """As `rsync -t --inplace` and `cp -p` make it."""
    proxy = own(rules=[{"bucket": "*", "deny": ["aws:kms"]}])
    text = proxy.config_file.read_text()
    status = proxy.config_file.stat()
    changed = yaml.safe_dump({**proxy.config, "rules": [{"bucket": "*", "require": "any"}]}, sort_keys=False)
    assert len(changed) <= len(text)
    proxy.config_file.write_text(changed.ljust(len(text) - 1) + "\n" if len(changed) < len(text) else changed)
    os.utime(proxy.config_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = proxy.config_file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (status.st_size, status.st_mtime_ns, status.st_ino)
    in_force(proxy, 2)
    assert put(proxy) == 403


def test_two_changes_at_once(own):
    """Within one step of the file system's clock, in place and of the same size."""
    proxy = own(rules=[{"bucket": "*", "require": "any", "mode": "report"}])
    text = proxy.config_file.read_text()
    for number in range(10):
        lax = text + f"# {number:03} lax\n"
        proxy.config_file.write_text(lax.replace("mode: report", "mode: report "))
        proxy.config_file.write_text(lax.replace("mode: report", "mode: enforce"))
        wait_until("the second one", lambda: put(proxy) == 403, 10)
        proxy.config_file.write_text(lax)
        wait_until("the lax one", lambda: put(proxy) == 200, 10)


def ticks(proxy: Sealgate) -> int:
    """Processor time so far, in clock ticks."""
    with open(f"/proc/{proxy.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_broken_configuration_is_read_once(own):
    proxy = own()
    write(proxy, rules=[{"bucket": f"pad{i}", "foo": 1} for i in range(3000)])
    wait_until("the refusal", lambda: "is not a field" in proxy.admin("/readyz")[1], 20)
    time.sleep(1)
    before = ticks(proxy)
    for _ in range(10):
        # The audit file grows and is no reason to read it again.
        assert put(proxy) == 200
        time.sleep(0.5)
    assert ticks(proxy) - before < 50
    assert proxy.process.output().count("the changed configuration has errors") == 1
    write(proxy, rules=STRICT)
    in_force(proxy, 2)


def test_secrets_stay_out_of_what_is_said(own):
    proxy = own()
    arn = "arn:aws:iam::111122223333:user/app"
    client = {"access_key": "wJalr/XUtnFEMI", "secret_key": {"a": "wJalrXUtnFEMI"}, "principal": arn}
    write(proxy, unconfirmed="${HOME}/x", clients=[client])
    said = wait_until("the refusal", lambda: "unconfirmed" in proxy.admin("/readyz")[1] and proxy.admin("/readyz")[1], 10)
    for text in (said, proxy.admin("/config")[1], proxy.process.output()):
        assert "${HOME}/x" in text, text
        assert "wJalr" not in text and os.environ["HOME"] + "/x" not in text
