"""A store whose connections break or never come about: nothing that is incomplete looks complete, and each request has its line."""

import socket
import threading
import time

import pytest

from harness.clock import took
from harness.h2wire import H2
from harness.process import wait_until
from harness.rules import EXPECT, RULES, SSE
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

INTERNAL_ERROR = 2
#: Responses of which more than `hello` was to come, or might have been.
BEGINNINGS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "until close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
}
METHODS = pytest.mark.parametrize("method", ["GET", "PUT"])
EACH = pytest.mark.parametrize("raw", BEGINNINGS.values(), ids=BEGINNINGS)
#: To HTTP/1.0, which knows no chunks, these end with the connection.
UNFRAMED = pytest.mark.parametrize("raw", [BEGINNINGS["chunked"], BEGINNINGS["until close"]], ids=["chunked", "until close"])


def resets_after(raw: bytes):
    """A store that takes the request, answers so much, and resets once that has arrived."""

    def behave(link, seen):
        link.read_body(seen)
        link.send(raw)
        time.sleep(0.15)
        return link.reset()

    return behave


def broken_off(gate, method: str):
    """The line says that the response was not whole, and how far it came."""
    (line,) = gate.audit_new(1)
    assert (line["method"], line["decision"], line["reason"]) == (method, "error", "store"), line
    assert line["error"].startswith("broken off: "), line
    assert (line["status"], line["bytes_out"]) == (200, 5), line


def rest_until_end(wire: Wire) -> bytes:
    """What comes after the head until the connection ends, in order or by a reset."""
    rest, wire.buffer = wire.buffer, b""
    try:
        while data := wire.socket.recv(65536):
            rest += data
    except ConnectionResetError:
        pass
    return rest


@METHODS
@EACH
def test_reset_in_a_response(gate, fake, raw, method):
    fake.behave = resets_after(raw)
    gate.mark()
    with Wire(gate.address) as wire:
        wire.request(method, "/open/k", body=b"x" if method == "PUT" else None)
        head = wire.head()
        assert head.status == 200
        rest = rest_until_end(wire)
    if b"Content-Length" in raw:
        assert head["content-length"] == "1000" and rest == b"hello"
    else:
        assert head["transfer-encoding"] == "chunked" and head["content-length"] is None, head
        assert rest == b"5\r\nhello\r\n", "without its last chunk"
    broken_off(gate, method)


@METHODS
@UNFRAMED
def test_reset_in_a_response_to_http_1_0(gate, fake, raw, method):
    """An end in order would say that it is whole."""
    fake.behave = resets_after(raw)
    with Wire(gate.address) as wire:
        wire.request(method, "/open/k", version="1.0", body=b"x" if method == "PUT" else None)
        assert_refused(wire.answer(), 503, "ServiceUnavailable")


@METHODS
@EACH
def test_reset_in_a_response_over_http2(gate, fake, raw, method):
    fake.behave = resets_after(raw)
    gate.mark()
    with H2(gate.address) as h2:
        stream = h2.put("/open/k", b"x") if method == "PUT" else h2.get("/open/k")
        assert stream.status == 200 and stream.body == b"hello", stream
        assert not stream.ended and stream.reset == INTERNAL_ERROR, stream
        broken_off(gate, method)
        fake.reset()
        assert h2.get("/open/k").status == 200, "the other streams go on"


def before_any_answer(when: str):
    def behave(link, seen):
        if when == "after its 100" and seen["expect"]:
            link.send("HTTP/1.1 100 Continue\r\n\r\n")
        if when != "in the body":
            link.read_body(seen)
        if when == "in its head":
            link.send("HTTP/1.1 200 OK\r\nContent-Le")
            time.sleep(0.1)
        return link.reset()

    return behave


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("when", ["in the body", "after the body", "after its 100", "in its head"])
def test_reset_before_an_answer(gate, fake, when, version):
    """503, and what changes something is not sent a second time, though its connection was one that is kept."""
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200
    gate.mark()
    fake.seen = []
    fake.behave = before_any_answer(when)
    body = b"x" * (1 << 20)
    expect = when == "after its 100"
    if version == 1:
        with Wire(gate.address) as wire:
            wire.request("PUT", "/locked/k", SSE, *([EXPECT] if expect else []), length=len(body))
            if expect:
                assert wire.head().status == 100
            try:
                wire.send(body)
            except ConnectionError:
                raise AssertionError("the client is not reset, too") from None
            assert_refused(wire.final()[1], 503, "ServiceUnavailable")
    else:
        with H2(gate.address) as h2:
            fields = [("content-length", str(len(body))), tuple(SSE.split(": "))] + ([("expect", "100-continue")] if expect else [])
            number = h2.head("PUT", "/locked/k", *fields, end=False)
            h2.data(number, body)
            stream = h2.wait(number)
            assert stream.status == 503 and b"ServiceUnavailable" in stream.body, stream
    (line,) = gate.audit_new(1)
    assert (line["method"], line["status"], line["code"]) == ("PUT", 503, "ServiceUnavailable"), line
    assert (line["decision"], line["reason"]) == ("error", "store") and line["error"], line
    assert len(fake.seen) == 1, "sent once"


def test_reset_of_a_read_before_an_answer(gate, fake):
    """The store may have seen it: nothing is sent twice, though the connection was kept from an earlier request."""
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200
    fake.seen = []
    fake.behave = before_any_answer("after the body")
    gate.mark()
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        assert_refused(wire.answer("GET"), 503, "ServiceUnavailable")
    assert len(fake.seen) == 1
    (line,) = gate.audit_new(1)
    assert (line["status"], line["decision"], line["reason"]) == (503, "error", "store")


class Full:
    """A port that listens and whose queue is full: the kernel drops further SYNs, as a firewall may."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.waiting = []
        while len(self.waiting) < 8:
            link = socket.socket()
            self.waiting.append(link)
            link.settimeout(0.2)
            try:
                link.connect(self.listener.getsockname())
            except TimeoutError:
                return
        raise RuntimeError("the queue does not fill")

    def close(self):
        for link in [*self.waiting, self.listener]:
            link.close()


def test_store_that_takes_no_connection(scratch):
    """503 within `connect_timeout`, which is 5 s; nobody else waits for that."""
    full = Full()
    gate = Sealgate(scratch / "no-connection", f"http://{full.address}", RULES)
    gate.start(ready="/healthz")
    try:
        ids, times = [], []

        def ask(method: str):
            begun = time.monotonic()
            with Wire(gate.address, 15) as wire:
                wire.request(method, "/locked/k", *([SSE] if method == "PUT" else []), body=b"x" if method == "PUT" else None)
                answer = wire.final(method)[1]
                assert_refused(answer, 503, "ServiceUnavailable")
                ids.append(answer["x-amz-request-id"])
            times.append(time.monotonic() - begun)

        def ask2():
            begun = time.monotonic()
            with H2(gate.address, 15) as h2:
                stream = h2.put("/locked/k", b"x", tuple(SSE.split(": ")))
                assert stream.status == 503 and b"ServiceUnavailable" in stream.body, stream
                ids.append(stream["x-amz-request-id"])
            times.append(time.monotonic() - begun)

        threads = [threading.Thread(target=ask, args=(method,), daemon=True) for method in ("GET", "PUT") * 4]
        threads.append(threading.Thread(target=ask2, daemon=True))
        for thread in threads:
            thread.start()
        wait_until("all wait", lambda: gate.metrics()["sealgate_requests_active"] == len(threads), 4)
        begun = time.monotonic()
        with Wire(gate.address) as wire:
            wire.request("PUT", "/locked/k", body=b"x")
            assert_refused(wire.answer())
        assert gate.admin("/healthz")[0] == 200
        assert took(begun) < 1
        for thread in threads:
            thread.join(15)
        assert len(ids) == len(threads) and 4 < min(times) and max(times) < 9, times
        lines = {line["request_id"]: line for line in gate.audit()}
        for request_id in ids:
            line = lines[request_id]
            assert (line["status"], line["decision"], line["reason"]) == (503, "error", "store") and line["error"], line
        wait_until("nothing is under way", lambda: gate.metrics()["sealgate_requests_active"] == 0, 5)
    finally:
        gate.stop()
        full.close()
