"""How a process ends: what it waits for, what it cuts off, and what is written of that."""

import os
import signal
import time

import pytest

from harness.certificates import Authority
from harness.fakestore import ok
from harness.h2wire import H2
from harness.life import put
from harness.process import wait_until
from harness.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def slow(link, seen):
    """Takes what comes and never answers the key /b/slow; begins an answer to a GET."""
    link.read_body(seen)
    if seen.method == "GET":
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        time.sleep(20)
        return False
    if "slow" in seen.target:
        time.sleep(20)
        return False
    return ok(link, seen)


def _rest(wire) -> bytes:
    """What still comes until the connection ends."""
    rest, wire.buffer = wire.buffer, b""
    while data := wire.socket.recv(4096):
        rest += data
    return rest


def under_way(proxy, count: int):
    wait_until("the requests", lambda: proxy.metrics()["sealgate_requests_active"] == count, 5)


CUT = ("error", "limit", "broken off: the process ended before the request did")
HOWS = pytest.mark.parametrize("how", ["drain", "at once", "second signal"])


def end(proxy, how: str):
    """Ends a process that has requests under way, which are not waited for longer than they must be."""
    begun = time.monotonic()
    os.kill(proxy.process.pid, signal.SIGINT if how == "at once" else signal.SIGTERM)
    if how == "second signal":
        wait_until("the drain", lambda: proxy.admin("/readyz")[0] == 503, 5)
        assert proxy.process.alive()
        os.kill(proxy.process.pid, signal.SIGINT)
    wait_until("the end", lambda: not proxy.process.alive(), 10)
    assert proxy.process.wait(1) == 0
    assert (time.monotonic() - begun > 2.5) == (how == "drain")


def has_its_lines(proxy):
    """Those of the upload and the read that were cut off; and nothing is missing after them."""
    lines = sorted((line["method"], line["key"], line["decision"], line["reason"], line["error"]) for line in proxy.audit())
    assert lines == [("GET", "k", *CUT), ("PUT", "slow", *CUT)]
    assert next(line for line in proxy.audit() if line["method"] == "PUT")["bytes_in"] == 5
    assert next(line for line in proxy.audit() if line["method"] == "GET")["bytes_out"] == 4
    assert "requests under way were cut off" in proxy.process.output() and "requests=2" in proxy.process.output()
    proxy.start()
    put(proxy)
    assert [line["unclean"] for line in proxy.audit()] == [False, False, False]


@HOWS
def test_what_is_cut_off_has_its_line(own, fake, how):
    fake.behave = slow
    proxy = own(shutdown={"drain": "3s" if how == "drain" else "30s"})
    with Wire(proxy.address) as one, Wire(proxy.address) as two:
        one.request("PUT", "/b/slow", body=b"12345")
        two.request("GET", "/b/k")
        under_way(proxy, 2)
        assert two.head().status == 200
        end(proxy, how)
        assert one.ends() and _rest(two) == b"half"
    has_its_lines(proxy)


@HOWS
@pytest.mark.parametrize("body", ["whole", "to come"])
def test_what_is_cut_off_over_http2_has_its_line(own, fake, how, body):
    fake.behave = slow
    proxy = own(shutdown={"drain": "3s" if how == "drain" else "30s"})
    with H2(proxy.address) as h2:
        length = "5" if body == "whole" else "1000"
        upload = h2.head("PUT", "/b/slow", ("content-length", length), end=False)
        h2.data(upload, b"12345", end=body == "whole")
        read = h2.head("GET", "/b/k")
        under_way(proxy, 2)
        h2.until(lambda: h2.streams[read].body == b"half", 5)
        wait_until("the body", lambda: any(bytes(seen.body) == b"12345" for seen in fake.seen), 5)
        end(proxy, how)
        h2.until(lambda: h2.closed, 5)
        # Cut off, and nothing that looks like an answer or its end.
        upload, read = h2.streams[upload], h2.streams[read]
        assert upload.status is None and not upload.ended, upload
        assert read.status == 200 and read.body == b"half" and not read.ended, read
    has_its_lines(proxy)


@pytest.mark.parametrize("what", ["nothing", "half a head", "half a preface", "no PROXY header", "no TLS", "a linger"])
def test_what_may_never_come_does_not_hold_the_drain(own, scratch, what):
    more = {}
    if what == "no PROXY header":
        more = {"trusted_proxies": ["127.0.0.1"]}
    proxy = own(shutdown={"drain": "30s"}, rules=[], limits={"linger": {"bytes": "1GiB", "time": "60s"}}, **more)
    if what in ("no PROXY header", "no TLS"):
        proxy.stop()
        if what == "no TLS":
            cert, key = Authority(scratch / "ending", "ca").issue("server", "DNS:localhost")
            proxy.config["listen"][0]["tls"] = {"cert": str(cert), "key": str(key)}
        else:
            proxy.config["listen"][0]["proxy_protocol"] = True
        proxy.start()
    with Wire(proxy.address) as wire:
        if what == "half a head":
            wire.send(b"GET / HTTP/1.1\r\nHo")
        elif what == "half a preface":
            wire.send(PREFACE[:10])
        elif what == "a linger":
            wire.request("PUT", "/b/k", length=1 << 30)
            assert wire.answer().status == 403
        wait_until("the connection", lambda: proxy.metrics()["sealgate_connections"] >= 1, 5)
        begun = time.monotonic()
        os.kill(proxy.process.pid, signal.SIGTERM)
        wait_until("the end", lambda: not proxy.process.alive(), 15)
        assert time.monotonic() - begun < 6
        assert proxy.process.wait(1) == 0


def test_a_head_that_comes_in_pieces_is_served_while_it_drains(own):
    proxy = own(shutdown={"drain": "30s"})
    with Wire(proxy.address) as wire:
        wire.send(f"GET /b/k HTTP/1.1\r\nHost: {proxy.address}\r\n")
        wait_until("the connection", lambda: proxy.metrics()["sealgate_connections"] == 1, 5)
        os.kill(proxy.process.pid, signal.SIGTERM)
        time.sleep(0.3)
        wire.send(b"\r\n")
        assert wire.answer("GET").status == 200


def test_a_delay_before_the_listeners_close(own):
    """Balancers see 503 first, and what they still send is served."""
    proxy = own(shutdown={"drain": "5s", "delay": "4s"})
    begun = time.monotonic()
    os.kill(proxy.process.pid, signal.SIGTERM)
    wait_until("not ready", lambda: proxy.admin("/readyz")[0] == 503, 1.5)
    while time.monotonic() - begun < 2:
        assert put(proxy) == 200
        time.sleep(0.1)
    wait_until("the end", lambda: not proxy.process.alive(), 15)
    assert time.monotonic() - begun > 3.9 and proxy.process.wait(1) == 0


def test_a_second_signal_ends_the_delay(own):
    proxy = own(shutdown={"delay": "30s"})
    os.kill(proxy.process.pid, signal.SIGTERM)
    wait_until("not ready", lambda: proxy.admin("/readyz")[0] == 503, 2)
    os.kill(proxy.process.pid, signal.SIGINT)
    wait_until("the end", lambda: not proxy.process.alive(), 3)
