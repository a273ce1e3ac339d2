"""HTTP/1.0: no chunks, and the end of the connection is the end of what has no length."""

import select
import threading
import time

import pytest

from harness.rules import SSE
from harness.wire import Wire, exchange

HEAD = b"HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nx-amz-server-side-encryption: AES256\r\n"
BODIES = [b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n", b"Connection: close\r\n\r\nhello world"]


def put(gate) -> bytes:
    return exchange(gate.address, f"PUT /locked/k HTTP/1.0\r\nHost: h\r\n{SSE}\r\nContent-Length: 1\r\n\r\nx".encode())


@pytest.mark.parametrize("body", BODIES, ids=["chunked", "to its end"])
def test_a_write_s_answer_without_length_leaves_whole(gate, fake, body):
    chunked = b"chunked" in body

    def behave(link, seen):
        link.read_body(seen)
        link.send(HEAD + body)
        time.sleep(0.2)
        if chunked:
            link.send(b"0\r\n\r\n")
        return False

    fake.behave = behave
    got = put(gate)
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"\r\n\r\nhello world"), got
    assert b"chunked" not in got


def test_one_that_is_broken_off_is_no_success(gate, fake):
    def behave(link, seen):
        link.read_body(seen)
        link.send(HEAD + BODIES[0])
        return False

    fake.behave = behave
    assert put(gate).startswith(b"HTTP/1.1 503 ")


def test_what_is_too_long_to_hold_flows(gate, fake):
    """A read's body longer than `limits.xml_bytes` is there before the store has come to its end."""
    over = threading.Event()

    def behave(link, seen):
        link.send(HEAD + BODIES[1].replace(b"hello", b"x" * (9 << 20)))
        over.wait(30)
        return False

    fake.behave = behave
    with Wire(gate.address, 20) as wire:
        wire.request("GET", "/open/k", version="1.0")
        while not wire.buffer.endswith(b"x world"):
            assert wire._more(), wire.buffer[:300]
        assert wire.buffer.startswith(b"HTTP/1.1 200 ")
    over.set()


def test_what_is_held_for_one_address_is_bounded(own, fake):
    """Nobody has many answers held at once: a quarter of 64 MiB, then 503, and all of it again afterwards."""
    over = threading.Event()

    def behave(link, seen):
        link.read_body(seen)
        link.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n600000\r\n" + b"x" * (6 << 20) + b"\r\n")
        over.wait(20)
        link.send(b"0\r\n\r\n")
        return False

    fake.behave = behave
    gate = own()
    with Wire(gate.address, 20) as first, Wire(gate.address, 20) as second, Wire(gate.address, 20) as third:
        wires = [first, second, third]
        for wire in wires:
            wire.send(b"GET /open/k HTTP/1.0\r\nHost: h\r\n\r\n")
        (refused,), _, _ = select.select([wire.socket for wire in wires], [], [], 10)
        wires.sort(key=lambda wire: wire.socket is refused)
        answer = wires.pop().answer("GET")
        assert (answer.status, answer.code) == (503, "SlowDown")
        over.set()
        for wire in wires:
            answer = wire.answer("GET")
            assert (answer.status, len(answer.body)) == (200, 6 << 20)
    answer = exchange(gate.address, b"GET /open/k HTTP/1.0\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
