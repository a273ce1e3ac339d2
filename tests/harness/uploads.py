"""Many clients that upload without a pause while something happens to the proxy; afterwards each request is accounted for."""

import http.client
import itertools
import threading
import time

from .process import all_go_on, wait_until
from .rules import SSE
from .wire import Wire

#: What a slow upload sends, and in how many pieces, a tenth of a second apart.
SLOW, PIECES = 1 << 20, 20


class Uploads:
    """Clients on kept connections, and some with uploads that take two seconds. Each request has a key of its own, which tells what
    became of it at the store and in the trail. One in four lacks the encryption that the rules demand."""

    def __init__(self, proxy, store, count: int, slow: int = 8):
        self.proxy, self.store = proxy, store
        #: What was answered to which key.
        self.answered: dict[str, int] = {}
        self.failed: list[tuple[str, str]] = []
        #: Kept connections that ended before an answer to these: every client's to open anew, unless the request had arrived.
        self.ended: list[str] = []
        #: When slow uploads began and had their answer.
        self.spans: list[tuple[float, float]] = []
        self.turns = [0] * count
        self._stop = threading.Event()
        self._slow = [0] * slow
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(count)]
        self._threads += [threading.Thread(target=self._run_slow, args=(i,), daemon=True) for i in range(slow)]
        for thread in self._threads:
            thread.start()
        wait_until("the slow uploads", lambda: all(self._slow), 20)
        self.goes_on()

    def _run(self, i: int):
        body = b"x" * 20_000
        link, reused = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=30), False
        for n in itertools.count():
            if self._stop.is_set():
                break
            sse = (n + i) % 4 != 0
            key = f"{'sse' if sse else 'plain'}-{i}-{n}"
            sent = False
            try:
                link.request("PUT", f"/b/{key}", body, dict([SSE.split(": ")]) if sse else {})
                sent = True
                answer = link.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as e:
                # Such an end may be seen while it is sent, or only where the answer is awaited.
                if reused and isinstance(e, http.client.RemoteDisconnected if sent else ConnectionError):
                    self.ended.append(key)
                else:
                    self.failed.append((key, repr(e)))
                link.close()
                reused = False
                continue
            self.answered[key] = answer.status
            self.turns[i] += 1
            reused = answer.headers.get("connection") != "close" and sse
            if not reused:
                link.close()
        link.close()

    def _run_slow(self, i: int):
        for n in itertools.count():
            if self._stop.is_set():
                return
            key, piece, begun = f"slow-{i}-{n}", b"x" * (SLOW // PIECES), time.monotonic()
            try:
                with Wire(self.proxy.address, 30) as wire:
                    wire.request("PUT", f"/b/{key}", SSE, length=len(piece) * PIECES)
                    for _ in range(PIECES):
                        wire.send(piece)
                        self._slow[i] += 1
                        time.sleep(0.1)
                    self.answered[key] = wire.final()[1].status
                    self.spans.append((begun, time.monotonic()))
            except (OSError, EOFError) as e:
                self.failed.append((key, repr(e)))

    def goes_on(self, seconds: float = 30):
        all_go_on(self.turns, seconds)

    def end(self) -> set[str]:
        """Ends the clients; the keys that were answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join(40)
        assert not any(thread.is_alive() for thread in self._threads)
        return set(self.answered)

    def assert_none_failed(self, *events: float):
        """Each request was answered as it must be, has its one line, and arrived whole or not at all. `events`: what happened while
        slow uploads were under way."""
        assert self.failed == []
        wrong = {key: status for key, status in self.answered.items() if status != (403 if key.startswith("plain") else 200)}
        assert wrong == {}
        lines: dict[str, list[tuple]] = {}
        for line in self.proxy.audit():
            assert line["decision"] in ("allow", "deny") and "error" not in line, line
            lines.setdefault(line["key"], []).append((line["status"], line["decision"]))
        assert lines.keys() == self.answered.keys(), "a request without an answer, or an answer without its line"
        for key, status in self.answered.items():
            assert lines[key] == [(status, "allow" if status == 200 else "deny")], key
        arrived = {}
        for seen in self.store.seen:
            assert seen.complete, f"{seen} was cut off"
            arrived.setdefault(seen.target.removeprefix("/b/"), []).append(len(seen.body))
        assert not set(self.ended) & arrived.keys(), "an upload that had arrived was cut off"
        assert arrived.keys() == {key for key, status in self.answered.items() if status == 200}
        for key, sizes in arrived.items():
            assert sizes == [SLOW // PIECES * PIECES if key.startswith("slow") else 20_000], key
        for event in events:
            spanning = sum(begun < event < ended for begun, ended in self.spans)
            assert spanning >= len(self._slow) // 2, f"{spanning} slow uploads were under way"
