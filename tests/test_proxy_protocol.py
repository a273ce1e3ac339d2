"""Who the client is behind relays and proxies that are trusted, and that nobody else can say it: PROXY protocol, X-Forwarded-*."""

import socket
import struct
import time

import pytest

from harness.certificates import Authority
from harness.clock import took
from harness.fakestore import FakeStore
from harness.process import free_port, wait_until
from harness.rules import RULES
from harness.secure import secure
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused
from test_tls import SSE_C

SECURE = {"bucket": "secure", "policy": {"Version": "2012-10-17", "Statement": [{
    "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::secure", "arn:aws:s3:::secure/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}
MODERN = {"bucket": "modern", "policy": {"Version": "2012-10-17", "Statement": [{
    "Sid": "Modern", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::modern", "arn:aws:s3:::modern/*"],
    "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}]}}
CLIENT = "198.51.100.7"
HTTPS = "X-Forwarded-Proto: https"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ours")


@pytest.fixture(scope="module")
def gate(scratch, pki):
    """127.0.0.1 and 198.51.100.66 are trusted; what comes from 127.0.0.2 is not."""
    store = FakeStore()
    proxy = Sealgate(scratch / "proxied", store.endpoint, [SECURE, MODERN, *RULES],
                     trusted_proxies=["127.0.0.1/32", "198.51.100.66"], limits={"header_timeout": "2s"})
    cert, key = pki.issue("localhost", "DNS:localhost")
    proxy.relayed, proxy.relayed_tls, proxy.tls = (f"127.0.0.1:{free_port()}" for _ in range(3))
    tls = {"cert": str(cert), "key": str(key)}
    proxy.config["listen"] = [
        {"address": proxy.address},
        {"address": proxy.relayed, "proxy_protocol": True},
        {"address": proxy.relayed_tls, "proxy_protocol": True, "tls": tls},
        {"address": proxy.tls, "tls": tls},
    ]
    with proxy:
        yield proxy
    store.stop()


def untrusted(address: str) -> Wire:
    """From 127.0.0.2."""
    wire = Wire(address)
    wire.close()
    host, port = address.rsplit(":", 1)
    wire.socket = socket.create_connection((host, int(port)), 10, ("127.0.0.2", 0))
    return wire


def v1(source=CLIENT, family="TCP4", other="10.0.0.1") -> bytes:
    return f"PROXY {family} {source} {other} 40000 443\r\n".encode()


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def v2(source=CLIENT, command=1, tlvs=b"") -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    there = socket.inet_pton(family, "::1" if ":" in source else "10.0.0.1")
    rest = socket.inet_pton(family, source) + there + struct.pack("!HH", 40000, 443) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, 0x21 if ":" in source else 0x11, len(rest)) + rest


def ssl_tlv(version: str | None, used: bool = True) -> bytes:
    inner = tlv(0x21, version.encode()) if version else b""
    return tlv(0x20, struct.pack("!BI", int(used), 0) + inner)


def ask(gate, wire, *headers, bucket="open"):
    wire.request("GET", f"/{bucket}/k", *headers)
    answer = wire.answer("GET")
    return answer, gate.audit_of(answer["x-amz-request-id"])


@pytest.mark.parametrize(("header", "source"), [
    (v1(), CLIENT), (v1("2001:db8::7", "TCP6", "::1"), "2001:db8::7"), (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(), CLIENT), (v2("2001:db8::7"), "2001:db8::7"), (v2(command=0), "127.0.0.1"), (v2(tlvs=tlv(4, b"x" * 900)), CLIENT),
])
@pytest.mark.parametrize("pieces", [False, True])
def test_the_header_names_the_client(gate, header, source, pieces):
    with Wire(gate.relayed) as wire:
        for byte in header[:60] if pieces else []:
            wire.send(bytes([byte]))
        wire.send(header[60:] if pieces else header)
        for _ in range(2):
            answer, line = ask(gate, wire)
            assert (answer.status, line["source_ip"], line["tls"]) == (200, source, None)


def test_header_and_request_in_one_piece(gate):
    with Wire(gate.relayed) as wire:
        wire.send(v2() + b"GET /open/k HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = wire.answer("GET")
        assert gate.audit_of(answer["x-amz-request-id"])["source_ip"] == CLIENT


@pytest.mark.parametrize("header", [v1(), v2()])
def test_header_before_tls(gate, pki, header):
    with secure(gate.relayed_tls, pki.cert, before=header) as wire:
        answer, line = ask(gate, wire, bucket="secure")
        assert (answer.status, line["source_ip"], line["tls"]) == (200, CLIENT, "1.3")


def test_tls_at_a_relay(gate, pki):
    def through(header, bucket):
        with Wire(gate.relayed) as wire:
            wire.send(header)
            answer, line = ask(gate, wire, bucket=bucket)
            return answer.status, line["tls"]

    assert through(v2(tlvs=ssl_tlv("TLSv1.3")), "secure") == (200, "1.3")
    assert through(v2(tlvs=ssl_tlv("TLSv1.3")), "modern") == (200, "1.3")
    assert through(v2(tlvs=ssl_tlv("TLSv1.1")), "secure") == (200, "1.1")
    assert through(v2(tlvs=ssl_tlv("TLSv1.1")), "modern") == (403, "1.1")
    assert through(v2(tlvs=ssl_tlv(None)), "secure") == (200, "unknown")
    # Who demands a version does not take one that nobody tells.
    assert through(v2(tlvs=ssl_tlv(None)), "modern") == (403, "unknown")
    assert through(v2(), "secure") == (403, None)
    assert through(v2(command=0, tlvs=ssl_tlv("TLSv1.3")), "secure") == (403, None)
    # The relay says that its client spoke plain HTTP: that it speaks TLS itself changes nothing.
    with secure(gate.relayed_tls, pki.cert, before=v2(tlvs=ssl_tlv("TLSv1.3", used=False))) as wire:
        assert ask(gate, wire, bucket="secure")[0].status == 403


@pytest.mark.parametrize("first", [
    b"GET /open/k HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", b"PROXY " + b"x" * 200,
    v1()[:-2] + b"\n", v2()[:12] + b"\x31\x11\0\x0c" + bytes(12), v2()[:12] + b"\x21\x11\xff\xff", v2(tlvs=b"\x20\xff\xff"),
])
def test_a_trusted_relay_must_send_one(gate, first):
    before = gate.metric("sealgate_proxy_header_refused_total")
    with Wire(gate.relayed) as wire:
        try:
            wire.send(first + b"GET /open/k HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.ends(1.5)
        except ConnectionResetError:
            pass
    assert gate.metric("sealgate_proxy_header_refused_total") == before + 1


@pytest.mark.parametrize("first", [b"", b"PROXY TCP4 ", v2()[:20]])
def test_a_slow_header(gate, first):
    begun = time.monotonic()
    with Wire(gate.relayed) as wire:
        wire.send(first)
        assert wire.ends(8)
        assert time.monotonic() - begun > 1.5 and took(begun) < 4


def test_others_are_served_as_themselves(gate, pki):
    with untrusted(gate.relayed) as wire:
        answer, line = ask(gate, wire)
        assert (answer.status, line["source_ip"]) == (200, "127.0.0.2")
    for header in (v1(), v2(tlvs=ssl_tlv("TLSv1.3"))):
        with untrusted(gate.relayed) as wire:
            wire.send(header + b"GET /secure/k HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = wire.answer("GET")
            assert answer.status in (400, 405)
            assert gate.audit_of(answer["x-amz-request-id"])["source_ip"] == "127.0.0.2"


def test_a_header_where_none_is_asked_for(gate):
    for header in (v1(), v2()):
        with Wire(gate.address) as wire:
            wire.send(header + b"GET /open/k HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.answer("GET").status in (400, 405)


@pytest.mark.parametrize(("headers", "source", "tls"), [
    ([f"X-Forwarded-For: {CLIENT}", HTTPS], CLIENT, True),
    ([HTTPS], "127.0.0.1", True),
    ([f"X-Forwarded-For: 1.2.3.4, {CLIENT}, 127.0.0.1", HTTPS], CLIENT, True),
    ([f"X-Forwarded-For: {CLIENT}", "X-Forwarded-Proto: http, https"], CLIENT, True),
    ([f"X-Forwarded-For: {CLIENT}", "X-Forwarded-Proto: https, http"], CLIENT, False),
    ([f"X-Forwarded-For: {CLIENT}", HTTPS, "X-Forwarded-Proto: http"], CLIENT, False),
    ([f"X-Forwarded-For: {CLIENT}", "X-Forwarded-Proto: https;"], CLIENT, False),
    ([f"X-Forwarded-For: {CLIENT}"], CLIENT, False),
    ([], "127.0.0.1", False),
])
def test_a_trusted_proxy_is_believed(gate, headers, source, tls):
    with Wire(gate.address) as wire:
        answer, line = ask(gate, wire, *headers, bucket="secure")
        assert (answer.status, line["source_ip"], line["tls"]) == (200 if tls else 403, source, "unknown" if tls else None)
        if not tls:
            assert_refused(answer)


def test_https_without_a_version_fails_closed(gate):
    with Wire(gate.address) as wire:
        answer, line = ask(gate, wire, HTTPS, bucket="modern")
        assert (answer.status, line["sid"]) == (403, "Modern")


def test_a_proxy_over_tls_speaks_for_its_client(gate, pki):
    with secure(gate.tls, pki.cert) as wire:
        assert ask(gate, wire, bucket="secure")[0].status == 200
        assert ask(gate, wire, "X-Forwarded-Proto: http", bucket="secure")[0].status == 403
        assert ask(gate, wire, f"X-Forwarded-For: {CLIENT}", bucket="secure")[0].status == 403
        assert ask(gate, wire, f"X-Forwarded-For: {CLIENT}", HTTPS, bucket="secure")[0].status == 200


def test_others_cannot_say_it(gate):
    spoofed = [f"X-Forwarded-For: {CLIENT}", HTTPS, "Forwarded: for=1.2.3.4;proto=https", "X-Forwarded-Ssl: on"]
    with untrusted(gate.address) as wire:
        answer, line = ask(gate, wire, *spoofed, bucket="secure")
        assert (answer.status, line["source_ip"], line["tls"]) == (403, "127.0.0.2", None)
    # Nor a client behind a relay: the relay's header says who it is.
    with Wire(gate.relayed) as wire:
        wire.send(v1())
        answer, line = ask(gate, wire, f"X-Forwarded-For: 1.2.3.4", HTTPS, bucket="secure")
        assert (answer.status, line["source_ip"], line["tls"]) == (403, CLIENT, None)
    # A trusted proxy behind a trusted relay is believed.
    with Wire(gate.relayed) as wire:
        wire.send(v1("198.51.100.66"))
        answer, line = ask(gate, wire, "X-Forwarded-For: 1.2.3.4", HTTPS, bucket="secure")
        assert (answer.status, line["source_ip"], line["tls"]) == (200, "1.2.3.4", "unknown")


def test_sse_c_goes_by_the_clients_connection(gate):
    for connect, headers, status in ((Wire, [HTTPS], 200), (Wire, [], 400), (untrusted, [HTTPS], 400)):
        with connect(gate.address) as wire:
            wire.request("PUT", "/locked/k", *SSE_C, *headers, body=b"x")
            assert wire.answer().status == status


def test_connections_are_counted_for_the_client_behind_a_relay(scratch):
    store = FakeStore()
    proxy = Sealgate(scratch / "relayed-limit", store.endpoint, RULES, trusted_proxies=["127.0.0.1/32"],
                     limits={"connections_per_source": 2})
    proxy.config["listen"] = [{"address": proxy.address, "proxy_protocol": True}]
    with proxy:
        proxy.at_rest()
        wires = []
        for source, served in ((CLIENT, True), (CLIENT, True), (CLIENT, False), ("198.51.100.8", True)):
            wire = Wire(proxy.address)
            wires.append(wire)
            try:
                wire.send(v1(source))
                wire.request("GET", "/open/k")
                assert served == (wire.answer("GET").status == 200)
            except (EOFError, ConnectionError):
                assert not served
        for wire in wires:
            wire.close()
    store.stop()


def test_who_says_nothing_behind_a_relay_counts_by_its_address(scratch, fake, pki):
    """Before its TLS handshake, which may never come."""
    cert, key = pki.issue("localhost", "DNS:localhost")
    proxy = Sealgate(scratch / "silent", fake.endpoint, RULES, trusted_proxies=["127.0.0.1"], limits={"connections_per_source": 2})
    proxy.config["listen"][0] |= {"proxy_protocol": True, "tls": {"cert": str(cert), "key": str(key)}}
    with proxy:
        proxy.at_rest()
        host, port = proxy.address.rsplit(":", 1)
        links = []
        try:
            for source in (CLIENT, CLIENT, CLIENT, "198.51.100.8"):
                link = socket.create_connection((host, int(port)), 5)
                links.append(link)
                link.sendall(v1(source))
            wait_until("the one too many", lambda: proxy.metric("sealgate_connections_refused_total") == 1, 5)
            open_ = []
            for link in links:
                link.settimeout(0.5)
                try:
                    open_.append(link.recv(1) != b"")
                except TimeoutError:
                    open_.append(True)
                except ConnectionError:
                    open_.append(False)
            # Any of one client's three may be the last to be counted.
            assert sorted(open_[:3]) == [False, True, True] and open_[3]
        finally:
            for link in links:
                link.close()
