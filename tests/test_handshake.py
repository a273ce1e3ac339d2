"""The handshake, seen at the socket: what is refused before its body, and how; what is invited, and by whom."""

import hashlib
import socket
import time

import pytest

from harness import fakestore
from harness.clock import took
from harness.process import free_port
from harness.rules import EXPECT, SSE
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

MIB = 1024 * 1024


# Denied, with Expect


def test_expect_denied_gets_403_and_no_100(wire, fake):
    began = time.monotonic()
    wire.request("PUT", "/locked/k", EXPECT, length=1000)
    interim, answer = wire.final()
    assert took(began) < 0.5
    assert interim == []
    assert_refused(answer, closes=True)
    assert answer.status_line == "HTTP/1.1 403 Forbidden"
    assert wire.ends()
    assert fake.seen == []


def test_denial_says_what_to_set(wire):
    wire.request("PUT", "/locked/k", EXPECT, length=1000)
    message = wire.answer().xml()["Message"]
    assert "x-amz-server-side-encryption" in message


def test_denial_names_policy_statement_and_header(wire):
    wire.request("PUT", "/documented/k", EXPECT, length=1000)
    message = wire.answer().xml()["Message"]
    assert "DenyUnencryptedObjectUploads" in message
    assert "x-amz-server-side-encryption" in message


def test_plain_denial_tells_nothing(gates, fake):
    gate = gates("plain", denial="plain")
    with Wire(gate.address) as wire:
        wire.request("PUT", "/documented/k", EXPECT, length=1000)
        answer = wire.answer()
    assert_refused(answer, closes=True)
    assert answer.xml()["Message"] == "Access Denied"
    line = gate.audit_of(answer["x-amz-request-id"])
    assert line["sid"] == "DenyUnencryptedObjectUploads"


@pytest.mark.parametrize("size", [1, 10, 65536, 5 * MIB, 2**40])
def test_expect_denied_whatever_the_size(wire, fake, size):
    wire.request("PUT", "/locked/k", EXPECT, length=size)
    interim, answer = wire.final()
    assert interim == []
    assert_refused(answer, closes=True)
    assert wire.ends()
    assert fake.seen == []


def test_expect_denied_but_the_body_comes_anyway(wire, fake):
    wire.request("PUT", "/locked/k", EXPECT, body=b"x" * MIB)
    interim, answer = wire.final()
    assert interim == []
    assert_refused(answer, closes=True)
    assert wire.ends()
    assert fake.seen == []


def test_expect_denied_and_the_body_comes_later(wire, fake):
    wire.request("PUT", "/locked/k", EXPECT, length=MIB)
    time.sleep(1.2)
    wire.send(b"x" * MIB)
    assert_refused(wire.answer(), closes=True)
    assert wire.ends()
    assert fake.seen == []


def test_request_ids_are_unique(gate):
    seen = set()
    for _ in range(50):
        with Wire(gate.address) as wire:
            wire.request("PUT", "/locked/k", EXPECT, length=10)
            seen.add(wire.answer()["x-amz-request-id"])
    assert len(seen) == 50


# Denied, without a body


def test_head_denied_has_no_body_and_keeps_the_connection(wire, fake):
    wire.request("HEAD", "/unruled/k")
    answer = wire.answer("HEAD")
    assert answer.status == 403 and answer.reason == "Forbidden"
    assert answer["x-amz-request-id"] and answer["x-amz-id-2"]
    assert wire.silent(0.2)
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200
    assert [s.target for s in fake.seen] == ["/open/k"]


def test_get_denied_keeps_the_connection(wire, fake):
    for _ in range(3):
        wire.request("GET", "/unruled/k")
        assert_refused(wire.answer("GET"), closes=False)
    wire.request("GET", "/open/k")
    answer = wire.answer("GET")
    assert (answer.status, answer.body) == (200, b"stored")
    assert len(fake.seen) == 1


def test_get_denied_by_policy(wire, fake):
    wire.request("GET", "/source/secret/k")
    assert_refused(wire.answer("GET"), closes=False)
    wire.request("GET", "/source/else")
    assert wire.answer("GET").status == 200
    assert [s.target for s in fake.seen] == ["/source/else"]


@pytest.mark.parametrize("headers", [[], ["Content-Length: 0"], [EXPECT, "Content-Length: 0"]])
def test_put_without_body_denied_keeps_the_connection(wire, fake, headers):
    wire.request("PUT", "/locked/k", *headers)
    interim, answer = wire.final()
    assert interim == []
    assert_refused(answer, closes=False)
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200
    assert len(fake.seen) == 1


def test_close_is_honoured_after_a_denial(wire):
    wire.request("GET", "/unruled/k", "Connection: close")
    assert_refused(wire.answer("GET"), closes=True)
    assert wire.ends()


# Denied, without Expect


def test_100_mib_pushed_before_reading(gate, fake):
    with Wire(gate.address, 30) as wire:
        wire.request("PUT", "/locked/k", length=100 * MIB)
        assert wire.push(100 * MIB) == 100 * MIB
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    assert fake.seen == []


@pytest.mark.parametrize("size", [10, 3000, 200_000, 10 * MIB])
def test_read_only_after_the_last_byte(gate, fake, size):
    with Wire(gate.address, 30) as wire:
        wire.request("PUT", "/locked/k", length=size)
        assert wire.push(size) == size
        time.sleep(0.3)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_denied_at_once_while_the_body_is_still_to_come(wire, fake):
    wire.request("PUT", "/locked/k", length=100 * MIB)
    wire.send(b"x" * 1000)
    assert_refused(wire.answer(timeout=5), closes=True)
    assert wire.ends(), "the write side is shut down at once"
    assert fake.seen == []


def test_linger_reads_no_more_than_it_may_and_holds(gates, fake):
    gate = gates("linger", limits={"linger": {"bytes": "1MiB", "time": "30s"}})
    before = gate.memory_kib()
    with Wire(gate.address, 30) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        wire.request("PUT", "/locked/k", length=100 * MIB)
        pushed = wire.push(100 * MIB, patience=1.5)
        # 1 MiB read, and what the kernel holds: a receive buffer of at most 6 MiB, and a send buffer.
        assert MIB <= pushed < 12 * MIB, pushed
        assert gate.memory_kib() - before < 8 * 1024
        time.sleep(1)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_linger_ends_with_its_time(gates, fake):
    gate = gates("short", limits={"linger": {"bytes": "128MiB", "time": "1s"}})
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", length=MIB)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
        time.sleep(2)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(20):
                wire.send(b"x" * 1000)
                time.sleep(0.05)


def test_proxy_forgets_a_client_that_left(gate):
    links = [Wire(gate.address) for _ in range(20)]
    for wire in links:
        wire.request("PUT", "/locked/k", length=MIB)
        assert_refused(wire.answer(), closes=True)
        wire.close()
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200


# What follows a denial is never a request


SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("expect", [[EXPECT], []], ids=["expect", "plain"])
def test_body_that_looks_like_a_request(gate, fake, expect):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", *expect, body=SMUGGLED * 3)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    time.sleep(0.2)
    assert fake.seen == []


@pytest.mark.parametrize("expect", [[EXPECT], []], ids=["expect", "plain"])
def test_request_sent_instead_of_the_body(gate, fake, expect):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", *expect, length=1000)
        assert_refused(wire.answer(), closes=True)
        wire.send(SMUGGLED)
        assert wire.ends()
    time.sleep(0.2)
    assert fake.seen == []


def test_request_pipelined_behind_a_denied_body(gate, fake):
    with Wire(gate.address) as wire:
        wire.send(f"PUT /locked/k HTTP/1.1\r\nHost: {gate.address}\r\nContent-Length: 4\r\n\r\nbody".encode() + SMUGGLED)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    time.sleep(0.2)
    assert fake.seen == []


def test_chunked_denied(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", "Transfer-Encoding: chunked")
        wire.send(b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
        assert_refused(wire.answer(), closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_chunked_expect_denied(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", "Transfer-Encoding: chunked", EXPECT)
        interim, answer = wire.final()
        assert interim == []
        assert_refused(answer, closes=True)
        assert wire.ends()
    assert fake.seen == []


def test_pipelined_behind_denials_without_body(wire, fake):
    one = f"GET /unruled/k HTTP/1.1\r\nHost: {wire.address}\r\n\r\n"
    two = f"GET /open/k HTTP/1.1\r\nHost: {wire.address}\r\n\r\n"
    wire.send(one + one + two)
    assert_refused(wire.answer("GET"), closes=False)
    assert_refused(wire.answer("GET"), closes=False)
    assert wire.answer("GET").body == b"stored"
    assert len(fake.seen) == 1


# Allowed


def test_pipelined_behind_an_allowed_put(wire, fake):
    wire.send(f"PUT /locked/a HTTP/1.1\r\nHost: {wire.address}\r\n{SSE}\r\nContent-Length: 3\r\n\r\nabc"
              f"GET /open/b HTTP/1.1\r\nHost: {wire.address}\r\n\r\n")
    assert wire.answer().status == 200
    assert wire.answer("GET").body == b"stored"
    assert [(s.target, s.body) for s in fake.seen] == [("/locked/a", b"abc"), ("/open/b", b"")]


def test_100_from_the_store_once(gates, fake):
    gate = gates("very-patient", continue_timeout="10s")
    began = time.monotonic()
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
        answer = wire.answer()
        assert answer.status_line == "HTTP/1.1 100 Continue"
        assert time.monotonic() - began < 5, "the store's own 100 waits for nothing"
        assert fake.last()["expect"].lower() == "100-continue"
        wire.send(b"hello")
        interim, answer = wire.final()
        assert interim == [] and answer.status == 200
        assert fake.last().body == b"hello"
        assert (answer["connection"] or "").lower() != "close"
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200


def test_100_from_sealgate_where_the_store_is_silent(wire, fake):
    fake.behave = fakestore.silent
    began = time.monotonic()
    wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
    answer = wire.answer()
    assert time.monotonic() - began >= 0.15 and took(began) < 0.8
    assert answer.status_line == "HTTP/1.1 100 Continue"
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200
    assert fake.last().body == b"hello"


def test_continue_timeout_is_the_configured_one(gates, fake):
    fake.behave = fakestore.silent
    gate = gates("patient", continue_timeout="700ms")
    began = time.monotonic()
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k", EXPECT, length=5)
        assert wire.answer().status == 100
        assert time.monotonic() - began >= 0.6 and took(began) < 1.5
        wire.send(b"hello")
        assert wire.answer().status == 200


def test_late_100_of_the_store_is_not_a_second_one(wire, fake):
    fake.behave = fakestore.late_continue(0.5)
    wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
    assert wire.answer().status == 100
    assert wire.silent(0.8)
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200
    assert fake.last().body == b"hello"


def test_late_100_while_the_body_is_on_its_way(wire, fake):
    fake.behave = fakestore.late_continue(0.5)
    wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
    assert wire.answer().status == 100
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200


def test_two_100_of_the_store_are_one(wire, fake):
    fake.behave = fakestore.twice
    wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
    assert wire.answer().status == 100
    assert wire.silent(0.3)
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200


def test_body_sent_without_waiting(wire, fake):
    wire.request("PUT", "/locked/k", SSE, EXPECT, body=b"hello")
    interim, answer = wire.final()
    assert len(interim) <= 1 and answer.status == 200
    assert fake.last().body == b"hello"


def test_body_sent_without_waiting_to_a_silent_store(wire, fake):
    fake.behave = fakestore.silent
    began = time.monotonic()
    wire.request("PUT", "/locked/k", SSE, EXPECT, body=b"hello")
    interim, answer = wire.final()
    assert len(interim) <= 1 and answer.status == 200
    assert took(began) < 1
    assert fake.last().body == b"hello"


def test_expect_is_case_insensitive(wire, fake):
    wire.request("PUT", "/locked/k", SSE, "expect: 100-CONTINUE", length=5)
    assert wire.answer().status == 100
    wire.send(b"hello")
    assert wire.answer().status == 200


@pytest.mark.parametrize("expect", [[EXPECT], []], ids=["expect", "plain"])
def test_large_body_arrives_whole(gate, fake, expect):
    body = bytes(i % 251 for i in range(MIB)) * 24
    with Wire(gate.address, 60) as wire:
        wire.request("PUT", "/locked/k", SSE, *expect, length=len(body))
        if expect:
            assert wire.answer().status == 100
        wire.send(body)
        assert wire.answer().status == 200
    assert hashlib.md5(fake.last().body).digest() == hashlib.md5(body).digest()


def test_chunked_allowed(wire, fake):
    wire.request("PUT", "/locked/k", SSE, "Transfer-Encoding: chunked")
    wire.send(b"5;name=value\r\nhello\r\n")
    time.sleep(0.05)
    wire.send(b"6\r\n world\r\n0\r\nx-trailer: t\r\n\r\n")
    assert wire.answer().status == 200
    assert fake.last().body == b"hello world" and fake.last().complete
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200


def test_chunked_expect_allowed(wire, fake):
    wire.request("PUT", "/locked/k", SSE, EXPECT, "Transfer-Encoding: chunked")
    assert wire.answer().status == 100
    wire.send(b"5\r\nhello\r\n0\r\n\r\n")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200
    assert fake.last().body == b"hello"


def test_report_mode_lets_through(gate, wire, fake):
    wire.request("PUT", "/reported/k", EXPECT, length=5)
    assert wire.answer().status == 100
    wire.send(b"hello")
    assert wire.answer().status == 200
    assert fake.last().body == b"hello"


# The store's early final answer


@pytest.mark.parametrize("close", [True, False], ids=["store closes", "store keeps"])
@pytest.mark.parametrize(("status", "code"), [
    ("404 Not Found", "NoSuchBucket"), ("403 Forbidden", "AccessDenied"), ("501 Not Implemented", "NotImplemented"),
])
def test_early_final_reaches_the_client(gate, fake, status, code, close):
    fake.behave = fakestore.early(status, code, close)
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k", EXPECT, length=1000)
        interim, answer = wire.final()
        assert interim == []
        assert f"{answer.status} {answer.reason}" == status
        assert answer.body == fakestore.error(code)
        assert answer["connection"].lower() == "close"
        assert wire.ends()
    # The store's connection is not used again for as long as the body that it was told of is missing.
    fake.behave = fakestore.honest
    for number in range(3):
        with Wire(gate.address) as wire:
            wire.request("PUT", f"/open/after{number}", body=b"after")
            assert wire.answer().status == 200
    assert [(s.target, s.body) for s in fake.seen[1:]] == [(f"/open/after{n}", b"after") for n in range(3)]
    assert fake.seen[0].body == b""


def test_early_final_without_expect(gate, fake):
    fake.behave = fakestore.early("403 Forbidden", "AccessDenied", True)
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k", length=50 * MIB)
        wire.send(b"x" * 100_000)
        answer = wire.answer()
        assert answer.status == 403 and answer["connection"].lower() == "close"
        assert wire.ends()


def test_final_answer_after_the_body_keeps_the_connection(wire, fake):
    def refuse(link, seen):
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
        link.read_body(seen)
        fakestore.respond(link, "400 Bad Request", "Content-Type: application/xml", body=fakestore.error("BadDigest"))

    fake.behave = refuse
    wire.request("PUT", "/open/k", EXPECT, length=5)
    assert wire.answer().status == 100
    wire.send(b"hello")
    answer = wire.answer()
    assert answer.status == 400 and answer.body == fakestore.error("BadDigest")
    fake.behave = fakestore.honest
    if (answer["connection"] or "").lower() != "close":
        wire.request("GET", "/open/k")
        assert wire.answer("GET").status == 200


# The empty PUT


def test_empty_put_with_expect(wire, fake):
    for _ in range(3):
        wire.request("PUT", "/locked/k", SSE, EXPECT, "Content-Length: 0")
        interim, answer = wire.final()
        assert interim == [] and answer.status == 200
        assert (answer["connection"] or "").lower() != "close"
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200
    assert len(fake.seen) == 4


def test_empty_put_with_expect_where_the_store_says_100(wire, fake):
    def eager(link, seen):
        if seen["expect"]:
            link.send("HTTP/1.1 100 Continue\r\n\r\n")
        fakestore.honest(link, seen) if not seen["expect"] else fakestore.ok(link, seen)

    fake.behave = eager
    wire.request("PUT", "/locked/k", SSE, EXPECT, "Content-Length: 0")
    interim, answer = wire.final()
    assert len(interim) <= 1 and answer.status == 200
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200


# Other expectations, older protocols


@pytest.mark.parametrize("value", ["nonsense", "100-continue, nonsense", "200-ok", "100-continued"])
def test_unknown_expectation(wire, fake, value):
    wire.request("PUT", "/locked/k", SSE, f"Expect: {value}", length=5)
    interim, answer = wire.final()
    assert interim == []
    assert answer.status == 417 and answer.reason
    assert (answer["connection"] or "").lower() == "close"
    assert wire.ends()
    assert fake.seen == []


def test_http_1_0_with_expect_allowed(wire, fake):
    wire.request("PUT", "/locked/k", SSE, EXPECT, length=5, version="1.0")
    assert wire.silent(0.6), "no 1xx to HTTP/1.0"
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == [] and answer.status == 200
    assert fake.last().body == b"hello"


def test_http_1_0_with_expect_denied(wire, fake):
    wire.request("PUT", "/locked/k", EXPECT, length=5, version="1.0")
    wire.send(b"hello")
    interim, answer = wire.final()
    assert interim == []
    assert_refused(answer)
    assert wire.ends()
    assert fake.seen == []


def test_http_1_0_ends_after_one_request(wire, fake):
    wire.request("GET", "/open/k", version="1.0")
    assert wire.answer("GET").body == b"stored"
    assert wire.ends()


def test_http_1_0_keep_alive(wire, fake):
    wire.request("GET", "/open/k", "Connection: keep-alive", version="1.0")
    answer = wire.answer("GET")
    assert answer.body == b"stored"
    if (answer["connection"] or "").lower() == "keep-alive":
        wire.request("GET", "/open/k", "Connection: keep-alive", version="1.0")
        assert wire.answer("GET").body == b"stored"
    else:
        assert wire.ends()


def test_http_1_0_gets_no_chunks(wire, fake):
    def chunks(link, seen):
        link.read_body(seen)
        link.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")

    fake.behave = chunks
    wire.request("GET", "/open/k", version="1.0")
    answer = wire.answer("GET")
    assert answer["transfer-encoding"] is None
    assert answer.body == b"abcdef"


# Many


def test_10000_denials_on_new_connections(gate, fake):
    request = f"PUT /locked/k HTTP/1.1\r\nHost: {gate.address}\r\n{EXPECT}\r\nContent-Length: 1000\r\n\r\n".encode()
    for _ in range(10_000):
        with socket.create_connection(("127.0.0.1", gate.port), 5) as link:
            link.sendall(request)
            data = b""
            while part := link.recv(65536):
                data += part
            assert data.startswith(b"HTTP/1.1 403 Forbidden\r\n") and data.endswith(b"</Error>"), data
    assert fake.seen == []


def test_10000_denials_on_one_connection(wire, fake):
    for _ in range(10_000):
        wire.request("GET", "/unruled/k")
        answer = wire.answer("GET")
        assert answer.status == 403
    assert fake.seen == []


def test_store_that_is_not_there(scratch):
    gate = Sealgate(scratch / "nowhere", f"http://127.0.0.1:{free_port()}", [{"bucket": "open"}, {"bucket": "locked", "require": "any"}])
    gate.start(ready="/healthz")
    try:
        with Wire(gate.address) as wire:
            wire.request("GET", "/open/k")
            assert_refused(wire.answer("GET"), 503, "ServiceUnavailable")
        with Wire(gate.address) as wire:
            wire.request("PUT", "/open/k", EXPECT, length=100)
            interim, answer = wire.final()
            assert interim == []
            assert_refused(answer, 503, "ServiceUnavailable", closes=True)
            assert wire.ends()
        with Wire(gate.address) as wire:
            wire.request("PUT", "/locked/k", EXPECT, length=100)
            assert_refused(wire.answer(), closes=True)
    finally:
        gate.stop()
