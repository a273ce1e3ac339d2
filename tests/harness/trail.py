"""Requests in a crowd, and what an audit trail must have of them."""

import json
import threading
from pathlib import Path

from .process import all_go_on
from .rules import SSE
from .wire import Wire


class Load:
    """Clients that write, are denied and read, and remember what they were answered."""

    def __init__(self, address: str, threads: int = 4, key: str = "k"):
        self.address = address
        self.key = key
        self.answered: list[tuple[str, int]] = []
        self._written: list[str] = []
        self._turns = [0] * threads
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Has every client finish its request."""
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "a request got no answer"

    def _run(self, number: int):
        turn = number
        while not self._stop.is_set():
            try:
                with Wire(self.address) as wire:
                    while not self._stop.is_set():
                        turn += 1
                        status, request_id = one(wire, turn, f"{self.key}-{number}")
                        self.answered.append((request_id, status))
                        if turn % 3 == 0 and status == 200:
                            self._written.append(request_id)
                        self._turns[number] += 1
                        if status == 503:
                            # As a client would.
                            self._stop.wait(0.01)
                            break
            except (OSError, EOFError):
                # The proxy was killed, or closed after a refusal.
                self._stop.wait(0.01)

    def goes_on(self):
        all_go_on(self._turns)

    def ids(self, *statuses: int) -> set[str]:
        return {request_id for request_id, status in list(self.answered) if status in statuses}

    def written(self) -> set[str]:
        """The writes that succeeded."""
        return set(self._written)


def one(wire: Wire, turn: int, key: str = "k") -> tuple[int, str]:
    """A write, a denied write or a read; its status and id."""
    if turn % 3 == 0:
        wire.request("PUT", f"/locked/{key}", SSE, body=b"x")
    elif turn % 3 == 1:
        wire.request("PUT", f"/locked/{key}", body=b"x")
    else:
        wire.request("GET", f"/open/{key}")
    answer = wire.answer("GET")
    return answer.status, answer["x-amz-request-id"]


def lines(text: str) -> list[dict]:
    """The lines of a trail, each of which must be whole."""
    assert not text or text.endswith("}\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]


def rotated(file: Path) -> list[Path]:
    """The rotated files of an audit file, oldest first."""
    return sorted((p for p in file.parent.glob(f"{file.name}.*Z.*")), key=lambda p: int(p.suffix[1:]))


def whole(file: Path) -> list[dict]:
    """All lines of the rotated files and the file."""
    return [line for path in [*rotated(file), file] for line in lines(path.read_text())]


def numbered(trail: list[dict]):
    """Within each start of the process the lines are numbered without a gap that the trail does not tell."""
    last: dict[str, int] = {}
    for line in trail:
        assert line["seq"] == last.get(line["start"], 0) + line.get("lost", 0) + 1, line
        last[line["start"]] = line["seq"]
