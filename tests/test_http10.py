"""HTTP/1.0: no chunks, and the end of the connection is the end of what has no length."""

import threading
import time

import pytest

from harness.rules import SSE
from harness.wire import exchange

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
        over.wait(10)
        return False

    fake.behave = behave
    got = exchange(gate.address, b"GET /open/k HTTP/1.0\r\nHost: h\r\n\r\n")
    over.set()
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"x world"), got[:300]
