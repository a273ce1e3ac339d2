"""No change of configuration is missed, whenever it comes; what is broken is read again only once something changes."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import yaml

from harness.life import OPEN, STRICT, generation, hang_up, in_force, put, successor, write
from harness.process import wait_until
from harness.sealgate import Sealgate


def test_change_while_a_successor_waits(own):
    """`run --upgrade` has read the configuration and waits for the listeners while it is changed."""
    proxy = own(rules=OPEN, upgrade_socket="upgrade.sock", shutdown={"drain": "2s"})
    before = proxy.process
    new = successor(proxy)
    try:
        write(proxy, rules=STRICT)
        os.kill(before.pid, signal.SIGQUIT)
        wait_until("the end of the old one", lambda: not before.alive(), 20)
        proxy.process = new
        in_force(proxy, 2)
        assert put(proxy) == 403
    finally:
        new.stop(10)


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
    for _ in range(5):
        if _stays_out_of_force(proxy, text.replace("require: any", "")):
            break
        # This machine let the file rest.
        proxy.config_file.write_text(text)
        wait_until("the whole of it", lambda: put(proxy) == 403, 10)
    else:
        raise AssertionError("the file could not be written steadily")
    number = generation(proxy)
    proxy.config_file.write_text(text)
    in_force(proxy, number + 1)
    assert put(proxy) == 403


@contextmanager
def written_on(path: Path, text: str) -> Iterator[list[float]]:
    """Writes a file and goes on adding empty lines; gives the pauses in seconds."""
    pauses, begun, over = [0.0], Event(), Event()

    def write_on():
        with path.open("w") as file:
            file.write(text)
            written = time.monotonic()
            while not over.wait(0.05):
                file.write("\n")
                file.flush()
                begun.set()
                pauses.append(time.monotonic() - written)
                written += pauses[-1]

    writer = Thread(target=write_on)
    writer.start()
    try:
        assert begun.wait(10), "it cannot be written"
        yield pauses
    finally:
        over.set()
        writer.join()


def _stays_out_of_force(proxy, half: str) -> bool:
    """Half of a configuration, until it is said that it does not rest; false where it did rest."""
    said = proxy.process.output().count("keep changing")
    with written_on(proxy.config_file, half) as pauses:
        end = time.monotonic() + 30
        while proxy.process.output().count("keep changing") == said:
            assert time.monotonic() < end, "it is not said"
            status = put(proxy)
            if max(pauses) > 0.4:
                return False
            assert status == 403, "half a configuration is in force"
            time.sleep(0.1)
    return True


def test_a_file_that_is_named_for_the_first_time_must_rest(own, scratch):
    """A policy that is still being written when the configuration names it, which itself rests."""
    proxy = own(rules=STRICT)
    policy = scratch / "slowly.json"
    for _ in range(5):
        with written_on(policy, json.dumps({"deny": ["sse-c"]})) as pauses:
            write(proxy, rules=[{"bucket": "b", "policy": str(policy)}])
            wait_until("a word of it", lambda: max(pauses) > 0.4 or "changes while it is read" in proxy.admin("/readyz")[1], 30)
            status = put(proxy)
            if max(pauses) <= 0.4:
                assert status == 403, "a policy of which half may be there is in force"
                break
        write(proxy, rules=STRICT)
        wait_until("the whole of it", lambda: put(proxy) == 403 and "changes while it is read" not in proxy.admin("/readyz")[1], 20)
    else:
        raise AssertionError("the file could not be written steadily")
    wait_until("the policy that rests", lambda: put(proxy) == 200, 20)


def test_a_change_that_is_taken_back_before_it_rests(own, scratch):
    """As a ConfigMap's link is set back: what is in force is what the file says, and nothing is refused any more."""
    proxy = own(rules=STRICT)
    before, after = proxy.config_file.with_suffix(".v1"), proxy.config_file.with_suffix(".v2")
    policy = scratch / "restless.json"
    after.write_text(yaml.safe_dump({**proxy.config, "rules": [{"bucket": "b", "policy": str(policy)}]}))
    proxy.config_file.rename(before)

    def lead_to(version: Path):
        link = proxy.config_file.with_suffix(".link")
        link.symlink_to(version)
        link.rename(proxy.config_file)

    lead_to(before)
    wait_until("the same again", lambda: proxy.metrics()["sealgate_config_refused"] == 0 and put(proxy) == 403, 10)
    for _ in range(5):
        with written_on(policy, json.dumps({"deny": ["sse-c"]})) as pauses:
            lead_to(after)
            wait_until("a word of it", lambda: max(pauses) > 0.4 or "changes while it is read" in proxy.admin("/readyz")[1], 20)
            was_refused = max(pauses) <= 0.4
            lead_to(before)
            wait_until("no refusal", lambda: "changes while it is read" not in proxy.admin("/readyz")[1], 20)
            wait_until("what is in force", lambda: put(proxy) == 403 and proxy.metrics()["sealgate_config_refused"] == 0, 20)
        if was_refused:
            return
    raise AssertionError("the file could not be written steadily")


def test_a_pipe_in_a_files_place(own, scratch):
    """Nobody waits for somebody to write it."""
    proxy = own(rules=STRICT)
    policy = scratch / "pipe.json"
    os.mkfifo(policy)
    write(proxy, rules=[{"bucket": "b", "policy": str(policy)}])
    wait_until("the refusal", lambda: "is not a file" in proxy.admin("/readyz")[1], 20)
    write(proxy, rules=STRICT)
    wait_until("no refusal", lambda: "is not a file" not in proxy.admin("/readyz")[1], 20)
    before = proxy.config_file.with_suffix(".before")
    proxy.config_file.rename(before)
    os.mkfifo(proxy.config_file)
    wait_until("the refusal", lambda: "is a named pipe" in proxy.admin("/readyz")[1], 20)
    assert put(proxy) == 403
    proxy.config_file.unlink()
    before.rename(proxy.config_file)
    wait_until("no refusal", lambda: "is a named pipe" not in proxy.admin("/readyz")[1], 20)
    write(proxy, rules=OPEN)
    wait_until("the change", lambda: put(proxy) == 200, 20)


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
        wait_until("the stricter policy", lambda: put(proxy) == 403, 40)
        write(proxy, rules=OPEN)
        wait_until("the open rules", lambda: generation(proxy) > number and put(proxy) == 200, 40)


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
