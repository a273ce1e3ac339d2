"""One audit file and two processes, and files that vanish under load: no line is torn, doubled or lost."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.life import successor
from harness.process import Process, wait_until
from harness.rules import RULES, SSE
from harness.sealgate import Sealgate
from harness.tools import sealgate
from harness.trail import Load, lines, numbered, one, rotated, whole
from harness.wire import Wire

LONG = "k" * 900


@pytest.fixture
def start(tmp_path, fake):
    """Starts proxies, and successors of them."""
    running = []

    def run(name="gate", ready=True, **more) -> Sealgate:
        gate = Sealgate(tmp_path / name, fake.endpoint, RULES, **more)
        running.append(gate)
        return gate.start() if ready else gate

    yield run
    for gate in running:
        gate.stop()


def serves(process: Process) -> bool:
    return " serving " in process.output()


def put(wire: Wire, key: str = LONG) -> tuple[int, str]:
    wire.request("PUT", f"/locked/{key}", SSE, body=b"x")
    answer = wire.answer("PUT")
    return answer.status, answer["x-amz-request-id"]


def limit(process: Process, size: int):
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def unlimit(process: Process):
    limit(process, resource.RLIM_INFINITY)


def by_start(trail: list[dict]) -> dict[str, list[int]]:
    starts = {}
    for line in trail:
        starts.setdefault(line["start"], []).append(line["seq"])
    return starts


def assert_complete(trail: list[dict], starts: int):
    found = by_start(trail)
    assert len(found) == starts
    for seqs in found.values():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), "lost or doubled"
    assert not any("lost" in line for line in trail)


@pytest.mark.parametrize("full", ["before", "meanwhile"])
def test_no_room_while_two_processes_write(start, fake, full):
    """The old process stops in the middle of a line, before it hands over or after, and the new one writes."""
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "20s"})
    old = gate.process
    kept = Wire(gate.address)
    acknowledged = [put(kept)[1]]

    def fill():
        limit(old, 40_001)
        for _ in range(200):
            try:
                status, request_id = put(kept)
            except (OSError, EOFError):
                return
            if status == 503:
                return
            acknowledged.append(request_id)
        raise AssertionError("never full")

    if full == "before":
        fill()
        assert not gate.audit_file.read_bytes().endswith(b"\n"), "half a line"
    new = successor(gate)
    try:
        os.kill(old.pid, signal.SIGQUIT)
        wait_until("the new process", lambda: serves(new), 20)
        time.sleep(0.3)
        if full == "meanwhile":
            # Under the new one's name only its own limit counts: the old one is still without room.
            fill()
            # The other process may write.
            wait_until("that half a line is cut off", lambda: gate.audit_file.read_bytes().endswith(b"\n"), 5)
        # Connections go to both for some seconds: the new one writes, the old one cannot.
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with Wire(gate.address) as wire:
                status, request_id = put(wire)
                if status == 200:
                    acknowledged.append(request_id)
        unlimit(old)
        wait_until("the end of the old one", lambda: not old.alive(), 40)
        with Wire(gate.address) as wire:
            acknowledged.append(put(wire)[1])
        gate.process = new
        gate.stop()
    finally:
        new.stop(10)
    trail = lines(gate.audit_file.read_text())
    assert_complete(trail, 2)
    ids = [line["request_id"] for line in trail]
    assert set(acknowledged) <= set(ids) and len(ids) == len(set(ids))
    assert not any(line["unclean"] for line in trail)


@pytest.mark.parametrize("room", ["again", "never"])
def test_no_room_while_a_crowd_is_handed_over(start, fake, room):
    """The old process fills up under eight clients and hands over; it has room again in time for its last upload, or never."""
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "20s"})
    old, new = gate.process, None
    last = Wire(gate.address)
    last.request("PUT", "/locked/last", SSE, length=10)
    last.send(b"hello")
    wait_until("its last upload", lambda: gate.metric("sealgate_requests_active") == 1, 5)
    try:
        with Load(gate.address, 8, LONG) as load:
            wait_until("some writes", lambda: len(load.written()) > 20, 10)
            limit(old, gate.audit_file.stat().st_size + 20_001)
            wait_until("no room", lambda: gate.metric("sealgate_audit_blocked") == 1, 30)
            # What had been let in before has its answer by then.
            load.goes_on()
            filled = len(load.written())
            new = successor(gate)
            load.goes_on()
            assert len(load.written()) == filled
            os.kill(old.pid, signal.SIGQUIT)
            wait_until("writes to the new process", lambda: serves(new) and len(load.written()) >= filled + 100, 20)
            assert old.alive()
            if room == "again":
                unlimit(old)
                time.sleep(1)
            last.send(b"world")
            status, request_id = (answer := last.answer()).status, answer["x-amz-request-id"]
            wait_until("the end of the old one", lambda: not old.alive(), 40)
            more = len(load.written())
            wait_until("more writes", lambda: len(load.written()) >= more + 100, 20)
            load.end()
        assert (old.wait(1), status) == ((0, 200) if room == "again" else (1, 503))
        gate.process = new
        gate.stop()
    finally:
        last.close()
        if new:
            new.stop(10)
    assert {status for _, status in load.answered} == {200, 403, 503}
    trail = lines(gate.audit_file.read_text())
    ids = [line["request_id"] for line in trail]
    assert len(ids) == len(set(ids))
    assert load.written() <= set(ids) and load.ids(200, 403) <= set(ids)
    if room == "again":
        assert request_id in ids
        # What does not fit into memory meanwhile are lines of refusals, which the next line counts.
        assert len(by_start(trail)) == 2
        numbered(trail)
        assert not any(line["unclean"] for line in trail)


def test_somebody_else_writes_behind_half_a_line(start, fake):
    """The half stays; the line comes again as a whole."""
    gate = start()
    limit(gate.process, 40_001)
    kept, written = Wire(gate.address), []
    while (answer := put(kept))[0] == 200:
        written.append(answer[1])
    assert not gate.audit_file.read_bytes().endswith(b"\n")
    with gate.audit_file.open("a") as other:
        other.write("somebody\n")
    unlimit(gate.process)
    wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 5)
    with Wire(gate.address) as wire:
        written.append(put(wire)[1])
    gate.stop()
    text = gate.audit_file.read_text().splitlines()
    other = [line for line in text if line.endswith("somebody")]
    assert len(other) == 1
    trail = [json.loads(line) for line in text if line not in other]
    numbered(trail)
    assert set(written) <= {line["request_id"] for line in trail} and len(trail) == len(written) + 1


def test_hand_over_with_rotation_under_load(start, fake):
    """Both processes rotate the same file."""
    gate = start(
        upgrade_socket="up.sock", shutdown={"drain": "5s"},
        audit={"stdout": False, "file": "audit.jsonl", "rotate": {"bytes": "32KiB", "keep": None}},
    )
    processes = [gate.process]
    try:
        with Load(gate.address, 4) as load:
            for i in range(2):
                processes.append(successor(gate, f"log-{i}"))
                os.kill(processes[-2].pid, signal.SIGQUIT)
                wait_until("the end of the old one", lambda: not processes[-2].alive(), 40)
                assert processes[-2].wait(1) == 0
            wait_until("rotations", lambda: len(rotated(gate.audit_file)) > 5, 20)
        gate.process = processes[-1]
        gate.stop()
    finally:
        for process in processes[1:]:
            process.stop(10)
    trail = whole(gate.audit_file)
    assert_complete(trail, 3)
    assert load.ids(200, 403) <= {line["request_id"] for line in trail}
    assert not any(line["unclean"] for line in trail)


def test_a_successor_that_is_killed_is_told(start, fake):
    """Even where it has written nothing since the old process ended the file."""
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "1s"})
    old = gate.process
    with Wire(gate.address) as wire:
        put(wire)
    new = successor(gate)
    try:
        os.kill(old.pid, signal.SIGQUIT)
        wait_until("the end of the old one", lambda: not old.alive(), 20)
        mark = gate.audit_file.with_name("audit.jsonl.end")
        wait_until("the mark's end", lambda: not mark.exists(), 5)
    finally:
        os.kill(new.pid, signal.SIGKILL)
        new.wait(5)
    gate.start()
    with Wire(gate.address) as wire:
        put(wire)
    gate.stop()
    assert [line["unclean"] for line in lines(gate.audit_file.read_text())] == [False, True]


@contextmanager
def handed_over(gate: Sealgate, last: Wire) -> Iterator[Process]:
    """The successor of a process that goes on as long as the upload on `last` does, which wants five bytes more."""
    old = gate.process
    last.request("PUT", "/locked/last", SSE, length=10)
    last.send(b"hello")
    wait_until("its last upload", lambda: gate.metric("sealgate_requests_active") == 1, 5)
    new = successor(gate)
    try:
        os.kill(old.pid, signal.SIGQUIT)
        wait_until("the new process", lambda: serves(new), 20)
        yield new
    finally:
        new.stop(10)


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("rotates", [False, True])
def test_a_successor_that_ends_before_the_old_process(start, fake, killed, rotates):
    """The old one, which still drains, ends the file; that the new one was killed is told all the same, and a third waits for the old one."""
    more = {"audit": {"stdout": False, "file": "audit.jsonl", "rotate": {"bytes": "4KiB"}}} if rotates else {}
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "20s"}, **more)
    old = gate.process
    with Wire(gate.address) as last:
        with handed_over(gate, last) as new:
            with Wire(gate.address) as wire:
                for i in range(8 if rotates else 1):
                    put(wire, f"{i}{LONG}")
            # Each has looked at the file.
            time.sleep(2.5)
            assert old.alive()
            new.signal(signal.SIGKILL if killed else signal.SIGTERM)
            new.wait(10)
        third = Process("sealgate", [sealgate(), "run", "--config", gate.config_file], gate.folder / "log-3")
        time.sleep(2.5)
        assert old.alive() and not serves(third)
        last.send(b"world")
        assert last.answer("PUT").status == 200
    assert old.wait(20) == 0
    gate.process = third
    wait_until("the third", lambda: serves(third), 20)
    with Wire(gate.address) as wire:
        put(wire, "third")
    third.stop(10)
    trail = whole(gate.audit_file)
    told = [line["key"][:9] for line in trail if line["unclean"]]
    # Where the new process held the file's lock, the old one sees it die.
    assert told in ([["third"], ["last"]] if killed else [[]]), trail
    assert sum(line["key"] == "last" for line in trail) == 1
    assert not [*gate.folder.glob("audit.jsonl.next*"), *gate.folder.glob("audit.jsonl.new*")]


def test_a_start_in_the_midst_of_a_hand_over(start, fake):
    """It waits for the new process, too, which has not seen the old one end: no line of its is cut off."""
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "20s"})
    old = gate.process
    with Wire(gate.address) as last, handed_over(gate, last) as new:
        third = Process("sealgate", [sealgate(), "run", "--config", gate.config_file], gate.folder / "log-3")
        try:
            with Load(gate.address, 4) as load:
                wait_until("that it waits", lambda: "another process writes the audit file" in third.output(), 10)
                last.send(b"world")
                assert last.answer("PUT").status == 200
                wait_until("the end of the old one", lambda: not old.alive(), 20)
                load.goes_on()
                time.sleep(2.5)
            assert third.alive() and not serves(third)
            new.stop(10)
            gate.process = third
            wait_until("the third", lambda: serves(third), 20)
            with Wire(gate.address) as wire:
                put(wire)
        finally:
            third.stop(10)
    trail = whole(gate.audit_file)
    assert_complete(trail, 3)
    assert load.ids(200, 403) <= {line["request_id"] for line in trail}
    assert not any(line["unclean"] for line in trail)


@pytest.mark.parametrize("writes", ["before and after", "after", "never"])
def test_a_predecessor_that_is_killed_is_told(start, fake, writes):
    """By the new process' next line or, where there is none, by the first of the next run."""
    gate = start(upgrade_socket="up.sock", shutdown={"drain": "20s"})
    old = gate.process
    with Wire(gate.address) as last, Wire(gate.address) as wire:
        put(wire, "old")
        with handed_over(gate, last):
            time.sleep(2.5)
            if writes == "before and after":
                with Wire(gate.address) as other:
                    put(other, "before")
            assert old.alive()
            os.kill(old.pid, signal.SIGKILL)
            old.wait(5)
            if writes != "never":
                with Wire(gate.address) as other:
                    put(other, "after")
    for key in ("next", "last"):
        gate.start()
        with Wire(gate.address) as wire:
            put(wire, key)
        gate.stop()
    trail = [(line["key"], line["unclean"]) for line in lines(gate.audit_file.read_text())]
    # The kill is noticed within a second.
    told = [key for key, unclean in trail if unclean]
    assert told in (["next"], ["after"]), trail


def test_two_runs_do_not_share_a_file(start, fake, tmp_path):
    first = start("one", audit={"stdout": False, "file": str(tmp_path / "audit.jsonl")}, shutdown={"drain": "20s"})
    second = start("two", ready=False, audit=first.config["audit"], shutdown={"drain": "1s"})
    second.folder.mkdir(exist_ok=True)
    second.config_file.write_text(json.dumps(second.config))
    begin = time.monotonic()
    command = [sealgate(), "run", "--config", second.config_file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and 1 <= time.monotonic() - begin < 10
    said = done.stdout + done.stderr
    assert f"another process writes the audit file {tmp_path}/audit.jsonl; give each its own audit.file" in said
    assert "--upgrade" in said

    # One that is about to end has time for it.
    second.config["shutdown"] = {"drain": "20s"}
    second.config_file.write_text(json.dumps(second.config))
    waiting = Process("sealgate", command, second.folder / "log")
    try:
        wait_until("the wait", lambda: "waiting for its end" in waiting.output(), 5)
        assert not serves(waiting)
        with Wire(first.address) as wire:
            put(wire)
        first.stop()
        wait_until("the second one", lambda: serves(waiting), 5)
        with Wire(second.address) as wire:
            put(wire)
    finally:
        waiting.stop(10)
    trail = lines((tmp_path / "audit.jsonl").read_text())
    assert [(line["seq"], line["unclean"]) for line in trail] == [(1, False), (1, False)]


def test_file_that_is_deleted_under_load(start, fake):
    """What was acknowledged is in the next file, however often."""
    gate = start()
    with Load(gate.address, 4) as load:
        for _ in range(3):
            time.sleep(1.3)
            deleted = len(load.answered)
            gate.audit_file.unlink()
        time.sleep(1.5)
    assert gate.metric("sealgate_audit_lost_total") == 0
    gate.stop()
    trail = lines(gate.audit_file.read_text())
    numbered_from(trail)
    later = {request_id for request_id, status in load.answered[deleted:] if status in (200, 403)}
    assert len(later) > 100
    assert later <= {line["request_id"] for line in trail}
    assert gate.audit_file.stat().st_mode & 0o777 == 0o600


def numbered_from(trail: list[dict]):
    """Without a gap or a double from the first line on, whatever its number."""
    first = trail[0]["seq"]
    assert [line["seq"] for line in trail] == list(range(first, first + len(trail)))


def test_deleted_file_is_noticed_at_once(start, fake):
    """A kill shortly behind an answer loses no line, either."""
    gate = start()
    with Wire(gate.address) as wire:
        assert put(wire, "a")[0] == 200
        gate.audit_file.unlink()
        ids = [put(wire, "b")[1]]
        # It is looked for every 20 ms.
        wait_until("a new file", gate.audit_file.exists, 5)
        wait_until("the line", lambda: ids[0] in gate.audit_file.read_text(), 5)
        os.kill(gate.process.pid, signal.SIGKILL)
    assert ids[0] in {line["request_id"] for line in lines(gate.audit_file.read_text())}


def test_deleted_file_without_a_folder_refuses(start, fake, tmp_path):
    """Lines that nobody could ever read are not written."""
    folder = tmp_path / "trail"
    folder.mkdir()
    gate = start(audit={"stdout": False, "file": str(folder / "audit.jsonl")})
    with Wire(gate.address) as wire:
        assert put(wire, "a")[0] == 200
    # Sealgate, which looks every 20 ms, may come in between with a new file.
    wait_until("its end", lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists(), 5, 0.001)
    wait_until("that it is noticed", lambda: gate.admin("/readyz")[0] == 503, 5)
    with Wire(gate.address) as wire:
        assert put(wire, "b")[0] == 503
    folder.mkdir()
    wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 5)
    with Wire(gate.address) as wire:
        assert put(wire, "c")[0] == 200
    gate.stop()
    trail = lines((folder / "audit.jsonl").read_text())
    assert [line["seq"] for line in trail] == [1, 2, 3] and trail[1]["key"] == "b"


def test_full_file_that_is_deleted_makes_room(start, fake):
    """An operator's first thought when the disk is full; half a line of the old file begins the new one as a whole."""
    gate = start()
    limit(gate.process, 40_001)
    written, kept = [], Wire(gate.address)
    while (answer := put(kept))[0] == 200:
        written.append(answer[1])
    kept.close()
    assert not gate.audit_file.read_bytes().endswith(b"\n")
    # Until it is sure that all that was acknowledged had been in the file for a while.
    time.sleep(4)
    gate.audit_file.unlink()
    wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 5)
    with Wire(gate.address) as wire:
        last = put(wire, "z")[1]
    gate.stop()
    trail = lines(gate.audit_file.read_text())
    numbered_from(trail)
    assert trail[0]["seq"] == len(written) + 1 and trail[0]["key"] == LONG
    assert trail[-1]["request_id"] == last


def test_link_in_the_files_place(start, fake):
    gate = start(audit={"stdout": False, "file": "audit.jsonl", "rotate": {"bytes": "4KiB", "keep": None}})
    real = gate.folder / "real.jsonl"
    with Wire(gate.address) as wire:
        put(wire, "k")
    gate.audit_file.rename(real)
    gate.audit_file.symlink_to("real.jsonl")
    wait_until("that it is noticed", lambda: "was moved away" in gate.process.output(), 10)
    for turn in range(30):
        with Wire(gate.address) as wire:
            one(wire, turn)
    gate.stop()
    assert gate.audit_file.is_symlink()
    assert gate.process.output().count("was moved away") == 1
    assert len(rotated(real)) > 3
    trail = whole(real)
    assert len(trail) == 31
    numbered(trail)
