"""What is no clean HTTP is refused and its connection closed: two readers of one byte stream must never differ."""

import time

import pytest

from harness.rules import EXPECT, SSE
from harness.wire import Wire, assert_refused, exchange

SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def refused(gate, fake, raw: bytes, statuses=(400,), closes: bool = True):
    """Sends bytes; wants one refusal, the end of the connection, and a store that saw nothing."""
    with Wire(gate.address) as wire:
        wire.send(raw)
        answer = wire.answer("GET")
        assert answer.status in statuses, answer
        assert answer.reason.strip(), answer.status_line
        if closes:
            assert (answer["connection"] or "").lower() == "close", answer
            assert wire.ends()
    time.sleep(0.05)
    assert fake.seen == []


def head(gate, *lines: str | bytes, line: str = "PUT /open/k HTTP/1.1") -> bytes:
    parts = [line.encode(), b"Host: " + gate.address.encode()]
    parts += [part if isinstance(part, bytes) else part.encode("latin-1") for part in lines]
    return b"\r\n".join(parts) + b"\r\n\r\n"


# Lengths


LENGTHS = {
    "length and coding": ["Content-Length: 4", "Transfer-Encoding: chunked"],
    "coding and length": ["Transfer-Encoding: chunked", "Content-Length: 4"],
    "two lengths": ["Content-Length: 4", "Content-Length: 40"],
    "two lengths in one": ["Content-Length: 4, 40"],
    "plus": ["Content-Length: +4"],
    "minus": ["Content-Length: -4"],
    "hex": ["Content-Length: 0x4"],
    "empty": ["Content-Length: "],
    "words": ["Content-Length: four"],
    "inner space": ["Content-Length: 4 0"],
    "too large": ["Content-Length: 99999999999999999999999"],
    "gzip": ["Transfer-Encoding: gzip"],
    "chunked not last": ["Transfer-Encoding: chunked, gzip"],
    "chunked twice": ["Transfer-Encoding: chunked, chunked"],
    "chunked in two lines": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "identity": ["Transfer-Encoding: identity"],
    "xchunked": ["Transfer-Encoding: xchunked"],
    "vertical tab": ["Transfer-Encoding: \x0bchunked"],
    "quoted": ['Transfer-Encoding: "chunked"'],
    "empty coding": ["Transfer-Encoding: "],
    "space before colon": ["Transfer-Encoding : chunked", "Content-Length: 4"],
}


@pytest.mark.parametrize("lines", LENGTHS.values(), ids=LENGTHS)
def test_length_that_two_could_read_differently(gate, fake, lines):
    refused(gate, fake, head(gate, *lines) + b"body" + SMUGGLED, (400, 501))


@pytest.mark.parametrize("lines", LENGTHS.values(), ids=LENGTHS)
def test_the_same_with_expect(gate, fake, lines):
    refused(gate, fake, head(gate, *lines, EXPECT), (400, 501))


def test_the_same_length_twice(gate, fake):
    refused(gate, fake, head(gate, "Content-Length: 4", "Content-Length: 4") + b"body" + SMUGGLED)


def test_coding_in_http_1_0(gate, fake):
    refused(gate, fake, head(gate, "Transfer-Encoding: chunked", line="PUT /open/k HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED)


# Lines


LINES = {
    "obs-fold": ["X-Folded: one", " two"],
    "obs-fold tab": ["X-Folded: one", "\ttwo"],
    "fold first": [" folded: first"],
    "bare LF": ["X-One: 1\nX-Two: 2"],
    "bare LF hides a header": [f"X-One: 1\n{SSE}"],
    "bare CR": ["X-One: 1\rX-Two: 2"],
    "NUL in value": ["X-One: a\0b"],
    "NUL in name": ["X-\0One: a"],
    "space before colon": ["X-One : 1"],
    "tab before colon": ["X-One\t: 1"],
    "space in name": ["X One: 1"],
    "no colon": ["X-One"],
    "no name": [": 1"],
    "control in value": ["X-One: a\x01b"],
    "delete in value": ["X-One: a\x7fb"],
    "umlaut in name": ["X-\xdc: 1"],
    "parenthesis in name": ["X(One): 1"],
}


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_line_that_is_no_header(gate, fake, lines):
    refused(gate, fake, head(gate, *lines, line="GET /open/k HTTP/1.1") + SMUGGLED)


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_the_same_before_a_body(gate, fake, lines):
    refused(gate, fake, head(gate, *lines, "Content-Length: 4") + b"body" + SMUGGLED)


START = {
    "bare LF": b"GET /open/k HTTP/1.1\nHost: x\n\n",
    "two spaces": b"GET  /open/k HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in target": b"GET /open/k k HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab": b"GET\t/open/k\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /open/k\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET /open/k HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /open/k HTTP/0.9\r\nHost: x\r\n\r\n",
    "http/1.1": b"GET /open/k http/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.1x": b"GET /open/k HTTP/1.1x\r\nHost: x\r\n\r\n",
    "control in target": b"GET /open/\x01k HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in target": b"GET /open/\0k HTTP/1.1\r\nHost: x\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "method with colon": b"G:ET /open/k HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /open/k HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /open/k HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
}

# Clean as messages, so that the connection may stay.
ADDRESSES = {
    "no slash": b"GET open/k HTTP/1.1\r\nHost: x\r\n\r\n",
    "host with a path": b"GET /open/k HTTP/1.1\r\nHost: x/open\r\n\r\n",
    "host with a space": b"GET /open/k HTTP/1.1\r\nHost: x y\r\n\r\n",
    "host with user": b"GET /open/k HTTP/1.1\r\nHost: a@x\r\n\r\n",
}


@pytest.mark.parametrize("raw", START.values(), ids=START)
def test_start_that_is_no_request(gate, fake, raw):
    refused(gate, fake, raw, (400, 405, 505))


@pytest.mark.parametrize("raw", ADDRESSES.values(), ids=ADDRESSES)
def test_address_that_is_none(gate, fake, raw):
    refused(gate, fake, raw, closes=False)


# Chunks


CHUNKS = {
    "no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "empty": b"\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
    "longer than said": b"3\r\nhello\r\n0\r\n\r\n",
    "no CRLF after": b"5\r\nhello0\r\n\r\n",
    "bare LF": b"5\nhello\n0\n\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_broken_chunks_never_become_an_object(gate, fake, body):
    with Wire(gate.address) as wire:
        wire.send(head(gate, SSE, "Transfer-Encoding: chunked", line="PUT /locked/k HTTP/1.1") + body + SMUGGLED)
        try:
            answer = wire.answer()
            assert answer.status == 400, answer
            assert wire.ends()
        except (EOFError, ConnectionResetError):
            pass
    time.sleep(0.2)
    assert [s for s in fake.seen if s.complete] == []
    assert all(s.target != "/open/smuggled" for s in fake.seen)


def test_body_that_ends_too_early_never_becomes_an_object(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", SSE, length=1000)
        wire.send(b"x" * 500)
    time.sleep(0.3)
    assert [s for s in fake.seen if s.complete] == []
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200


# Sizes


@pytest.mark.parametrize("lines", [
    ["X-Long: " + "x" * 70_000], [f"X-{n}: {'y' * 1000}" for n in range(70)], ["X-Long: " + "x" * 1_000_000],
], ids=["one header", "many headers", "a megabyte"])
def test_head_too_large(gate, fake, lines):
    with Wire(gate.address) as wire:
        try:
            wire.send(head(gate, *lines, line="GET /open/k HTTP/1.1"))
        except (ConnectionResetError, BrokenPipeError):
            pass
        answer = wire.answer("GET")
        assert_refused(answer, 400, "RequestHeaderSectionTooLarge", closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_too_many_headers(gate, fake):
    with Wire(gate.address) as wire:
        wire.send(head(gate, *(f"X-{n}: 1" for n in range(250)), line="GET /open/k HTTP/1.1"))
        assert_refused(wire.answer("GET"), 400, "RequestHeaderSectionTooLarge", closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_target_too_long(gate, fake):
    with Wire(gate.address) as wire:
        wire.send(head(gate, line=f"GET /open/{'k' * 70_000} HTTP/1.1"))
        answer = wire.answer("GET")
        assert answer.status in (400, 414) and answer["connection"].lower() == "close"
    assert fake.seen == []


def test_head_within_its_bounds(wire, fake):
    wire.request("GET", "/open/k", *(f"X-{n}: {'z' * 200}" for n in range(150)))
    assert wire.answer("GET").status == 200
    assert len([1 for n, _ in fake.last().headers if n.startswith("x-") and n[2:].isdigit()]) == 150


def test_head_in_many_pieces(wire, fake):
    raw = f"GET /open/k HTTP/1.1\r\nHost: {wire.address}\r\nX-One: 1\r\n\r\n".encode()
    for i in range(len(raw)):
        wire.send(raw[i:i + 1])
        if i % 8 == 0:
            time.sleep(0.002)
    assert wire.answer("GET").status == 200


def test_limits_are_the_configured_ones(gates, fake):
    gate = gates("small", limits={"header_bytes": "4KiB", "header_count": 10, "header_timeout": "1s"})
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k", "X-Long: " + "x" * 5000)
        assert_refused(wire.answer("GET"), 400, "RequestHeaderSectionTooLarge", closes=True)
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k", *(f"X-{n}: 1" for n in range(12)))
        assert_refused(wire.answer("GET"), 400, "RequestHeaderSectionTooLarge", closes=True)
    with Wire(gate.address) as wire:
        wire.send(b"GET /open/k HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        try:
            answer = wire.answer("GET", 6)
            assert answer.status in (400, 408)
        except EOFError:
            pass
        assert time.monotonic() - began < 5
    assert fake.seen == []


def test_empty_line_before_a_request(wire, fake):
    # RFC 9112 2.2: a server ought to ignore at least one.
    wire.send(b"\r\n")
    wire.request("GET", "/open/k")
    answer = wire.answer("GET")
    assert answer.status in (200, 400)


# Targets and connections


@pytest.mark.parametrize("raw, status, code", [
    (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405, "MethodNotAllowed"),
    (b"GET /open/k#x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"GET /open/<k HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"GET /open/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"GET HTTP://x/open/k HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"GET http:///open/k HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    (b"GET /open/k HTTP/1.1\r\nHost: x\r\nConnection: close, Host\r\n\r\n", 400, "BadRequest"),
    (b"GET /open/k HTTP/1.1\r\nHost: x\r\nConnection: Authorization\r\n\r\n", 400, "BadRequest"),
])
def test_refused_by_nobody_but_the_gate(gate, fake, raw, status, code):
    with Wire(gate.address) as wire:
        wire.send(raw)
        answer = wire.answer("GET")
        assert_refused(answer, status, code, closes=True)
        assert answer["server"] is None
    assert fake.seen == []


@pytest.mark.parametrize("target", ['/open/a|b^c"d{e}', "/open/a\\b", "//open/k", "/open/\xc3\xbc", "/open/k?a=|`"])
def test_rare_target_is_forwarded_as_it_is_or_refused(gate, fake, target):
    with Wire(gate.address) as wire:
        wire.request("GET", target)
        answer = wire.answer("GET")
        assert answer["server"] is None
        if answer.status == 200:
            assert fake.last().line == f"GET {target} HTTP/1.1"
        else:
            assert answer.status == 400 and fake.seen == []


# What the store reads as the host is what is decided on (s3/address)


@pytest.mark.parametrize("raw", [
    b"PUT http://open.s3.example.test/locked/k HTTP/1.0\r\n",
    b"PUT http://open.s3.example.test/locked/k HTTP/1.1\r\nHost: \xff\r\n",
    b"PUT http://open.s3.example.test/locked/k HTTP/1.1\r\nHost: OPEN.S3.EXAMPLE.TEST\r\n",
    b"PUT http://open.s3.example.test/locked/k HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b"PUT http://OPEN.s3.example.test/locked/k HTTP/1.1\r\nHost: open.s3.example.test\r\n",
    b"PUT /locked/k HTTP/1.1\r\nHost: \xc3\xb6pen.s3.example.test\r\n",
    b"PUT /locked/k HTTP/1.1\r\nHost:\r\n",
], ids=["1.0 without Host", "not ASCII", "another case", "another host", "case in the URL", "UTF-8", "empty"])
def test_the_host_that_goes_on_decides(gate, fake, raw):
    got = exchange(gate.address, raw + b"Content-Length: 1\r\n\r\nx")
    assert b" 400 " in got.split(b"\r\n", 1)[0], got
    assert not fake.seen


def test_old_request_without_host(gate, fake):
    got = exchange(gate.address, b"PUT /locked/k HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
    assert b" 403 " in got.split(b"\r\n", 1)[0]
    got = exchange(gate.address, b"GET /open/k HTTP/1.0\r\n\r\n")
    assert b" 200 " in got.split(b"\r\n", 1)[0]
    assert fake.last()["host"] == fake.address
