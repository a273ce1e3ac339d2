"""Child processes: started on a free port, waited for, ended by their id, nothing left behind."""

import ctypes
import http.client
import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

_taken: set[int] = set()
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port of five digits below the range from which the kernel takes ports for outgoing connections."""
    for _ in range(200):
        port = random.randint(15000, 31000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError("no free port on 127.0.0.1")


def listening(port: int, timeout: float = 0.5) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout).close()
        return True
    except OSError:
        return False


def page(port: int, path: str, timeout: float = 5) -> tuple[int, str]:
    """Status and body of a page on 127.0.0.1; status 0 where nobody answers."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        link.close()


def wait_until(what: str, check, seconds: float = 30.0, step: float = 0.05):
    """Calls `check` until it returns something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(step)


def all_go_on(turns: list[int], seconds: float = 30):
    """Waits until each of those who count their answers in `turns` had one, and then one more: to a request that it began meanwhile."""
    before = list(turns)
    wait_until("every client", lambda: all(now > then + 1 for now, then in zip(turns, before)), seconds)


def _die_with_parent():
    # Ends the child even when pytest itself is killed.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child process with its output in a file, unless a descriptor is given for it."""

    def __init__(self, name: str, argv: list, log: Path, env: dict | None = None, cwd: Path | None = None,
                 stdout: int | None = None, stderr: int | None = None):
        self.name = name
        self.log = log
        self._out = open(log, "ab")
        self._child = subprocess.Popen(
            [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=self._out if stdout is None else stdout,
            stderr=self._out if stderr is None else stderr,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            preexec_fn=_die_with_parent if threading.current_thread() is threading.main_thread() else None,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        return self._child.poll() is None

    def wait_ready(self, check, seconds: float = 30.0):
        def step():
            if not self.alive():
                raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n{self.output()[-4000:]}")
            return check()

        try:
            return wait_until(f"{self.name} is ready", step, seconds)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.output()[-4000:]}") from None

    def signal(self, number: int):
        self._child.send_signal(number)

    def wait(self, seconds: float) -> int:
        return self._child.wait(seconds)

    def stop(self, seconds: float = 5.0):
        if self.alive():
            self._child.terminate()
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(5)
        self._out.close()
