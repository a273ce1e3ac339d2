"""The audit trail loses nothing, or says so: full disks, readers that stop or leave, rotation, kill -9."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from harness.clock import took
from harness.commands import run
from harness.process import wait_until
from harness.rules import RULES
from harness.sealgate import Sealgate
from harness.tools import sealgate
from harness.trail import Load, lines, numbered, one, rotated, whole
from harness.wire import Wire

#: A key that makes its line some 1.5 KB.
LONG = "k" * 900


@pytest.fixture
def proxy(tmp_path, fake):
    """Starts proxies, each with an audit of its own."""
    running = []

    def start(ready: str = "/readyz", streams: dict | None = None, **audit) -> Sealgate:
        gate = Sealgate(tmp_path / f"gate-{len(running)}", fake.endpoint, RULES, audit={"stdout": bool(streams), **audit})
        running.append(gate)
        return gate.start(ready, **(streams or {}))

    yield start
    for gate in running:
        gate.stop()


def ask(gate: Sealgate, turn: int, key: str = "k") -> tuple[int, str]:
    """One request on a connection of its own; however the audit does, the answer is there within two seconds."""
    begin = time.monotonic()
    with Wire(gate.address) as wire:
        answer = one(wire, turn, key)
    assert took(begin) < 2
    return answer


def until_blocked(gate: Sealgate, most: int = 3000) -> set[str]:
    """Writes until the answer is 503; the ids of those that succeeded."""
    written = set()
    for _ in range(most):
        status, request_id = ask(gate, 0, LONG)
        if status == 503:
            return written
        assert status == 200
        written.add(request_id)
    raise AssertionError("never blocked")


def assert_refuses(gate: Sealgate, fake):
    """Nothing passes: not even to the store."""
    seen = len(fake.seen)
    for turn in range(6):
        assert ask(gate, turn)[0] == 503
    assert len(fake.seen) == seen
    begin = time.monotonic()
    assert gate.admin("/readyz") == (503, "audit lines cannot be written\n")
    assert gate.admin("/healthz")[0] == 200
    assert gate.metric("sealgate_audit_blocked") == 1
    assert gate.metric("sealgate_audit_errors_total") > 0
    assert took(begin) < 2


def assert_recovers(gate: Sealgate):
    wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 10)
    assert [ask(gate, turn)[0] for turn in range(3)] == [200, 403, 200]
    assert gate.metric("sealgate_audit_blocked") == 0
    assert "audit lines are written again" in gate.process.output()


# Disks


class Tmpfs:
    """A file system with little room, which takes root to mount."""

    def __init__(self, folder: Path):
        self.folder = folder / "small"
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.folder], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)

    def limit(self, gate: Sealgate):
        pass

    def widen(self, gate: Sealgate):
        subprocess.run(["mount", "-o", "remount,size=64m", self.folder], check=True)


class Limited:
    """Files that may not grow, which anybody can have."""

    def __init__(self, folder: Path):
        self.folder = folder / "limited"
        self.folder.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def limit(self, gate: Sealgate):
        # Which ends within a line of 1.5 KB, and not at its end.
        resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, (60_601, resource.RLIM_INFINITY))

    def widen(self, gate: Sealgate):
        resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


# Without root the limit is the full disk.
@pytest.fixture(params=[Limited, Tmpfs] if os.geteuid() == 0 else [Limited])
def room(request, tmp_path):
    with request.param(tmp_path) as disk:
        yield disk


def test_full_disk_refuses(proxy, fake, room):
    file = room.folder / "audit.jsonl"
    gate = proxy(file=str(file))
    room.limit(gate)
    written = until_blocked(gate)
    assert_refuses(gate, fake)
    assert not file.read_text().endswith("\n"), "the room is used to its last byte"
    room.widen(gate)
    assert_recovers(gate)
    gate.stop()
    trail = lines(file.read_text())
    numbered(trail)
    ids = [e["request_id"] for e in trail]
    assert written <= set(ids), "kept until there was room"
    assert len(ids) == len(set(ids))
    assert gate.start().audit_file and lines(file.read_text()) == trail


def served(gate: Sealgate, load: Load, late=lambda begin: False):
    """A crowd is served, whoever asks. Sealgate waits for a reader no longer than it must: where that one was late, it is looked again."""
    for _ in range(10):
        wait_until("ready", lambda: gate.admin("/readyz")[0] == 200, 10)
        load.goes_on()
        begin, before, written = time.monotonic(), len(load.answered), len(load.written())
        wait_until("writes", lambda: len(load.written()) >= written + 100, 20)
        statuses = {status for _, status in load.answered[before:]}
        if statuses == {200, 403}:
            return
        assert late(begin), statuses
    raise AssertionError("the reader was late each time")


def crowded(gate: Sealgate, fake, widen, **reader) -> Load:
    """Eight clients that never pause, while the room ends and comes back; what they were answered."""
    with Load(gate.address, 8, LONG) as load:
        wait_until("no room", lambda: gate.metric("sealgate_audit_blocked") == 1, 60)
        # What had been let in before has its answer by then.
        load.goes_on()
        before, seen = len(load.answered), len(fake.seen)
        wait_until("refusals", lambda: len(load.answered) >= before + 100, 30)
        assert {status for _, status in load.answered[before:]} == {503}
        assert len(fake.seen) == seen, "nothing passes"
        assert gate.admin("/readyz") == (503, "audit lines cannot be written\n")
        written = len(load.written())
        widen()
        served(gate, load, **reader)
    assert written > 10, "before there was no room"
    wait_until("no line waits", lambda: gate.metric("sealgate_audit_blocked") == 0, 5)
    return load


def has_all_of(trail: list[dict], load: Load):
    """Each acknowledged write's line is there once, and so are those of denials and reads. Of refusals some may be counted alone, where
    they do not fit into memory."""
    numbered(trail)
    ids = [line["request_id"] for line in trail]
    assert len(ids) == len(set(ids))
    assert load.written() <= set(ids), len(load.written() - set(ids))
    assert load.ids(200, 403) <= set(ids), len(load.ids(200, 403) - set(ids))
    statuses = {line["request_id"]: line["status"] for line in trail}
    assert all(statuses[request_id] == status for request_id, status in load.answered if status != 503)


def test_full_disk_refuses_a_crowd(proxy, fake, room):
    file = room.folder / "audit.jsonl"
    gate = proxy(file=str(file))
    room.limit(gate)
    load = crowded(gate, fake, lambda: room.widen(gate))
    gate.stop()
    has_all_of(lines(file.read_text()), load)


def test_full_disk_counts(proxy, fake, room):
    file = room.folder / "audit.jsonl"
    gate = proxy(file=str(file), when_blocked="count")
    room.limit(gate)
    counts(gate)
    room.widen(gate)
    recounts(gate, lambda: lines(file.read_text()))


def counts(gate: Sealgate):
    """Requests go on until lines are lost, and further."""
    with Load(gate.address, 4, LONG) as load:
        wait_until("lines are lost", lambda: gate.metric("sealgate_audit_lost_total") > 50, 60)
    assert {status for _, status in load.answered} == {200, 403}
    assert gate.admin("/readyz")[0] == 200, "it serves"
    assert gate.metric("sealgate_audit_blocked") == 1


def recounts(gate: Sealgate, trail):
    """The next line says how many were lost, and so do the log and the metric."""
    wait_until("written again", lambda: gate.metric("sealgate_audit_blocked") == 0, 10)
    ask(gate, 0)
    lost = int(gate.metric("sealgate_audit_lost_total"))
    gate.stop()
    numbered(trail())
    told = sum(e.get("lost", 0) for e in trail())
    assert told == lost
    assert sum(map(int, re.findall(r"(\d+) of them were lost", gate.process.output()))) == lost


# Readers of standard output


class Reader:
    """Notes when it has read."""

    def __init__(self):
        self.times: list[float] = []

    def late(self, begin: float) -> bool:
        """Whether it let Sealgate wait, shortly before or since, for nearly the tenth of a second that is all that it may."""
        times = [*self.times, time.monotonic()]
        return any(now - then > 0.08 for then, now in pairwise(times) if now > begin - 0.5)


class PipeReader(Reader):
    """The reading end of a pipe, which reads when it is told to."""

    def __init__(self):
        super().__init__()
        self.reading, self.writing = os.pipe()
        self.text = b""
        self._thread: threading.Thread | None = None

    def read(self, pause: float = 0, size: int = 65536):
        os.close(self.writing)
        self._thread = threading.Thread(target=self._read, args=(pause, size), daemon=True)
        self._thread.start()

    def _read(self, pause: float, size: int):
        while data := os.read(self.reading, size):
            self.text += data
            self.times.append(time.monotonic())
            time.sleep(pause)

    def text_once_ended(self) -> bytes:
        """All that came until the writer ended."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.text

    def trail(self) -> list[dict]:
        """All lines, once the writer has ended."""
        return lines(self.text_once_ended().decode())


@pytest.fixture
def reader():
    return PipeReader()


def test_stopped_reader_of_stdout_refuses(proxy, fake, reader):
    gate = proxy(streams={"stdout": reader.writing})
    written = until_blocked(gate)
    assert_refuses(gate, fake)
    reader.read()
    assert_recovers(gate)
    gate.stop()
    trail = reader.trail()
    numbered(trail)
    assert written <= {e["request_id"] for e in trail}


def test_stopped_reader_of_stdout_refuses_a_crowd(proxy, fake, reader):
    gate = proxy(streams={"stdout": reader.writing})
    load = crowded(gate, fake, reader.read, late=reader.late)
    gate.stop()
    has_all_of(reader.trail(), load)


def test_stopped_reader_of_stdout_counts(proxy, fake, reader):
    gate = proxy(streams={"stdout": reader.writing}, when_blocked="count")
    counts(gate)
    reader.read()
    recounts(gate, reader.trail)


def test_slow_reader_of_stdout_is_waited_for(proxy, fake, reader):
    """A pipe that is full for a moment refuses nobody."""
    gate = proxy(streams={"stdout": reader.writing})
    reader.read(pause=0.02, size=16384)
    with Load(gate.address, 4, LONG) as load:
        for _ in range(5):
            served(gate, load, reader.late)
    gate.stop()
    numbered(reader.trail())


def test_stopped_reader_of_log_and_stdout(proxy, fake, reader):
    """The log in the same pipe makes nobody wait either."""
    gate = proxy(streams={"stdout": reader.writing, "stderr": reader.writing})
    until_blocked(gate)
    assert_refuses(gate, fake)
    with Load(gate.address, 4) as load:
        time.sleep(1)
    assert {status for _, status in load.answered} == {503}
    reader.read()
    wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 10)
    assert ask(gate, 0)[0] == 200


def test_reader_of_stdout_that_has_gone(proxy, fake, reader):
    gate = proxy(streams={"stdout": reader.writing})
    os.close(reader.writing)
    os.close(reader.reading)
    until_blocked(gate, most=2)
    assert_refuses(gate, fake)
    assert "Broken pipe" in gate.process.output()


# The end of the process


@pytest.mark.parametrize("when_blocked", ["refuse", "count"])
def test_reader_of_stdout_that_reads_again_while_the_process_ends(proxy, fake, reader, when_blocked):
    gate = proxy(streams={"stdout": reader.writing}, when_blocked=when_blocked)
    ids = set()
    for _ in range(150):
        status, request_id = ask(gate, 0, LONG)
        ids |= {request_id} if status == 200 else set()
    assert gate.metric("sealgate_audit_blocked") == 1
    gate.process.signal(signal.SIGTERM)
    time.sleep(1)
    assert gate.process.alive(), "shutdown.drain is for its lines, too"
    reader.read()
    assert gate.process.wait(5) == 0
    trail = reader.trail()
    numbered(trail)
    assert len(trail) == 150 and ids <= {line["request_id"] for line in trail}
    assert "are lost" not in gate.process.output()


def test_disk_that_has_room_again_while_the_process_ends(proxy, fake, room):
    file = room.folder / "audit.jsonl"
    gate = proxy(file=str(file))
    room.limit(gate)
    written = until_blocked(gate)
    gate.process.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert gate.process.alive()
    room.widen(gate)
    assert gate.process.wait(5) == 0
    trail = lines(file.read_text())
    numbered(trail)
    assert written <= {line["request_id"] for line in trail}
    gate.start()
    ask(gate, 0)
    gate.stop()
    assert not any(line["unclean"] for line in lines(file.read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lines_that_are_lost_at_the_end_are_said(own, reader, number):
    """Once `shutdown.drain` is over, or at once where that is asked for."""
    gate = own(audit={"stdout": True, "when_blocked": "count"}, shutdown={"drain": "4s"})
    gate.stop()
    gate.start(stdout=reader.writing)
    for _ in range(150):
        ask(gate, 0, LONG)
    begin = time.monotonic()
    gate.process.signal(number)
    assert gate.process.wait(10) == 1
    elapsed = time.monotonic() - begin
    assert elapsed >= 3.9 if number == signal.SIGTERM else elapsed < 3
    reader.read()
    whole_lines = reader.text_once_ended().count(b"\n")
    said = re.findall(r"ERROR.* audit lines are lost.*: (\d+) for standard output", gate.process.output())
    assert said == [str(150 - whole_lines)]
    assert "they are kept" not in gate.process.output()


def test_file_that_is_a_named_pipe(proxy, fake, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    gate = proxy(file=str(fifo))
    until_blocked(gate)
    assert_refuses(gate, fake)
    while True:
        try:
            os.read(reading, 65536)
        except BlockingIOError:
            break
    assert_recovers(gate)
    os.close(reading)


# Unix sockets


class SocketReader(Reader):
    """Listens on a Unix socket; takes connections and reads them when it is told to."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.texts: list[bytes] = []
        self._go = threading.Event()
        self._end = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, read: bool = True) -> "SocketReader":
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(8)
        self._listener.settimeout(0.1)
        self._end.clear()
        self._go.set() if read else self._go.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def read(self):
        self._go.set()

    def _run(self):
        link = None
        while not self._end.is_set():
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.texts.append(b"")
            self._ended.clear()
            link.settimeout(0.05)
            while not self._end.is_set():
                self._go.wait(0.05)
                if not self._go.is_set():
                    continue
                try:
                    data = link.recv(4096)
                except TimeoutError:
                    continue
                if not data:
                    self._ended.set()
                    break
                self.texts[-1] += data
                self.times.append(time.monotonic())
        if link:
            link.close()

    def leave(self):
        """Closes, whatever is unread."""
        self._end.set()
        self._thread.join(5)
        self._listener.close()

    def trail_once_ended(self) -> list[dict]:
        """All lines, once the writer has ended."""
        assert self._ended.wait(10)
        return self.trail()

    def trail(self) -> list[dict]:
        """The lines of all connections. Where a reader left, the line it had in part comes again whole."""
        return [line for text in self.texts for line in lines(text[: text.rfind(b"\n") + 1].decode())]


@pytest.fixture
def place(tmp_path_factory):
    # The path of a socket has an end at 107 bytes.
    return tmp_path_factory.mktemp("s", numbered=True) / "audit.sock"


def test_stopped_reader_of_a_socket_refuses(proxy, fake, place):
    reader = SocketReader(place).listen(read=False)
    gate = proxy(socket=str(place))
    written = until_blocked(gate)
    assert_refuses(gate, fake)
    reader.read()
    assert_recovers(gate)
    gate.stop()
    trail = reader.trail_once_ended()
    reader.leave()
    numbered(trail)
    assert len(trail) >= len(written) + 10 and written <= {e["request_id"] for e in trail}


def test_stopped_reader_of_a_socket_refuses_a_crowd(proxy, fake, place):
    reader = SocketReader(place).listen(read=False)
    gate = proxy(socket=str(place))
    load = crowded(gate, fake, reader.read, late=reader.late)
    gate.stop()
    has_all_of(reader.trail_once_ended(), load)
    reader.leave()


def test_stopped_reader_of_a_socket_counts(proxy, fake, place, tmp_path):
    reader = SocketReader(place).listen(read=False)
    gate = proxy(socket=str(place), file=str(tmp_path / "beside.jsonl"), when_blocked="count")
    counts(gate)
    reader.read()
    recounts(gate, reader.trail_once_ended)
    reader.leave()
    beside = lines((tmp_path / "beside.jsonl").read_text())
    assert not any("lost" in line for line in beside), "the file lost nothing"
    numbered(beside)


def test_socket_that_comes_later(proxy, fake, place):
    gate = proxy(socket=str(place), ready="/healthz")
    assert_refuses(gate, fake)
    reader = SocketReader(place).listen()
    assert_recovers(gate)
    gate.stop()
    numbered(reader.trail_once_ended())
    reader.leave()


def test_reader_that_leaves_and_comes_back_under_load(proxy, fake, place):
    reader = SocketReader(place).listen()
    gate = proxy(socket=str(place))
    with Load(gate.address, 4, LONG) as load:
        for _ in range(5):
            time.sleep(0.7)
            reader.leave()
            time.sleep(0.3)
            reader.listen()
        wait_until("ready again", lambda: gate.admin("/readyz")[0] == 200, 10)
        time.sleep(0.5)
    gate.stop()
    trail = reader.trail_once_ended()
    reader.leave()
    assert len(reader.texts) >= 6
    assert load.ids(200, 403) and load.ids(200, 403) <= {e["request_id"] for e in trail}
    # Some may be there twice: `seq` tells.
    once = {line["seq"]: line for line in trail}
    numbered([once[seq] for seq in sorted(once)])
    for text in reader.texts:
        first = text.partition(b"\n")[0]
        assert not first or json.loads(first), "each connection begins with a whole line"


def test_syslog(proxy, fake, place):
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.bind(str(place))
    daemon.settimeout(5)
    gate = proxy(socket=str(place))
    _, request_id = ask(gate, 0)
    message = daemon.recv(65536).decode()
    before, _, line = message.partition(": ")
    assert before == f"<134>sealgate[{gate.process.pid}]"
    assert json.loads(line)["request_id"] == request_id and not line.endswith("\n")
    written = until_blocked(gate)
    assert_refuses(gate, fake)
    got = [request_id]

    def read():
        try:
            while True:
                got.append(json.loads(daemon.recv(65536).partition(b": ")[2])["request_id"])
        except TimeoutError:
            pass

    threading.Thread(target=read, daemon=True).start()
    assert_recovers(gate)
    wait_until("all lines", lambda: written <= set(got), 5)


# Rotation


def test_rotation_under_load(proxy, fake):
    gate = proxy(file="audit.jsonl", rotate={"bytes": "20KiB", "keep": None})
    with Load(gate.address, 6) as load:
        wait_until("rotations", lambda: len(rotated(gate.audit_file)) >= 20, 60)
    gate.stop()
    files = rotated(gate.audit_file)
    assert all(0 < path.stat().st_size <= 20 << 10 for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in [*files, gate.audit_file])
    trail = whole(gate.audit_file)
    numbered(trail)
    assert not any(line["unclean"] for line in trail)
    assert load.ids(200, 403, 503) <= {e["request_id"] for e in trail}
    assert {status for _, status in load.answered} == {200, 403}
    gate.start()
    ask(gate, 0)
    wait_until("a line", lambda: whole(gate.audit_file)[len(trail):], 5)
    assert whole(gate.audit_file)[-1]["unclean"] is False


def test_rotated_files_are_kept_and_deleted(proxy, fake):
    gate = proxy(file="audit.jsonl", rotate={"bytes": "1KiB", "keep": 3})
    other = gate.folder / "audit.jsonl.old"
    other.write_text("x")
    for turn in range(40):
        ask(gate, turn)
    done = gate.metric("sealgate_audit_rotations_total", result="done")
    assert done > 10
    wait_until("the oldest are deleted", lambda: len(rotated(gate.audit_file)) == 3, 5)
    assert [int(p.suffix[1:]) for p in rotated(gate.audit_file)] == [done - 2, done - 1, done]
    assert other.exists()
    gate.stop()
    numbers = [line["seq"] for line in whole(gate.audit_file)]
    assert numbers == list(range(numbers[0], 41))


def test_rotation_by_time(proxy, fake):
    gate = proxy(file="audit.jsonl", rotate={"bytes": None, "time": "1s"})
    ask(gate, 0)
    wait_until("a rotation", lambda: len(rotated(gate.audit_file)) == 1, 5)
    time.sleep(1.5)
    assert len(rotated(gate.audit_file)) == 1, "an empty file is not rotated"
    ask(gate, 0)
    wait_until("a rotation", lambda: len(rotated(gate.audit_file)) == 2, 5)


def test_rotation_that_fails_goes_on(proxy, fake, tmp_path):
    folder, away = tmp_path / "trail", tmp_path / "away"
    folder.mkdir()
    gate = proxy(file=str(folder / "audit.jsonl"), rotate={"bytes": "2KiB"})
    ask(gate, 0)
    folder.rename(away)
    for turn in range(20):
        assert ask(gate, turn)[0] in (200, 403)
    assert gate.metric("sealgate_audit_rotations_total", result="failed") > 0
    assert "lines go on to the old one" in gate.process.output()
    away.rename(folder)
    # It is tried again after a while.
    time.sleep(3)
    for turn in range(20):
        ask(gate, turn)
    gate.stop()
    assert rotated(folder / "audit.jsonl")
    trail = whole(folder / "audit.jsonl")
    assert len(trail) == 41
    numbered(trail)


def test_file_that_is_moved_away(proxy, fake):
    """As logrotate does it."""
    gate = proxy(file="audit.jsonl")
    moved = gate.folder / "audit.jsonl.1"
    with Load(gate.address, 4) as load:
        time.sleep(0.5)
        gate.audit_file.rename(moved)
        wait_until("a new file", gate.audit_file.exists, 5)
        time.sleep(0.5)
    gate.stop()
    trail = lines(moved.read_text()) + lines(gate.audit_file.read_text())
    numbered(trail)
    assert load.ids(200, 403) <= {e["request_id"] for e in trail}
    assert gate.audit_file.stat().st_mode & 0o777 == 0o600


# kill -9


@pytest.mark.parametrize("rotate", [None, {"bytes": "20KiB", "keep": None}], ids=["one-file", "rotated"])
def test_kill_under_load(proxy, fake, rotate):
    gate = proxy(file="audit.jsonl", rotate=rotate)
    answered = set()
    for _ in range(3):
        with Load(gate.address, 4) as load:
            time.sleep(1)
            wait_until("a denial and a write", lambda: load.ids(403) and load.written(), 20)
            gate.process.signal(signal.SIGKILL)
            gate.process.wait(5)
        # Reads wait for company, 20 ms at most; what was refused or written does not.
        denied = load.ids(403)
        assert denied
        answered |= denied | load.written()
        assert load.written()
        gate.start()
        assert ask(gate, 0)[0] == 200
    gate.stop()
    trail = whole(gate.audit_file)
    ids = {e["request_id"] for e in trail}
    assert answered <= ids, len(answered - ids)
    numbered(trail)
    starts = list(dict.fromkeys(line["start"] for line in trail))
    assert len(starts) == 4
    firsts = [next(line for line in trail if line["start"] == start) for start in starts]
    assert [line["unclean"] for line in firsts] == [False, True, True, True]
    assert sum(line["unclean"] for line in trail) == 3


# What is checked before


@pytest.mark.parametrize(("audit", "expect"), [
    ({"rotate": {"bytes": "1MiB"}}, "audit.rotate: is for a file"),
    ({"file": "a", "rotate": {"bytes": "1MB"}}, 'audit.rotate.bytes: "1MB" is not a size: write a whole number and KiB, MiB or GiB'),
    ({"file": "a", "rotate": {"every": "1h"}}, "known here: bytes, time, keep"),
    ({"file": "a", "rotate": {"keep": 0}}, "audit.rotate.keep: is 0"),
    ({"socket": "/dev/null"}, "audit.socket: /dev/null is not a Unix socket"),
    ({"when_blocked": "wait"}, "is not one of refuse, count"),
])
def test_check(tmp_path, audit, expect):
    file = tmp_path / "sealgate.yaml"
    file.write_text(json.dumps({"store": {"endpoint": "http://127.0.0.1:1"}, "rules": [{"bucket": "a"}], "audit": audit}))
    done = run([sealgate(), "check", "--config", file])
    assert done.code == 1 and expect in done.out + done.err, done
