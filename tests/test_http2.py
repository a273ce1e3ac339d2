"""HTTP/2: the same decisions and answers as over HTTP/1, streams that do not disturb each other, bounds that hold."""

import hashlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree as ET

import pytest

from harness.commands import run
from harness.fakestore import honest, respond
from harness.h2wire import H2
from harness.process import wait_until
from harness.rules import RULES
from harness.sealgate import Sealgate
from harness.tools import tool
from harness.wire import Wire

SSE = ("x-amz-server-side-encryption", "AES256")
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 7, 8, 11


@pytest.fixture
def h2(gate):
    with H2(gate.address) as connection:
        yield connection


def error(stream) -> dict[str, str]:
    return {child.tag: child.text or "" for child in ET.fromstring(stream.body)}


def curl(*args) -> subprocess.CompletedProcess:
    return subprocess.run(["curl", "-sS", "--max-time", "60", "--http2-prior-knowledge", *map(str, args)],
                          capture_output=True, timeout=90)


# What a request becomes.


def test_a_put_and_a_get(h2, fake):
    body = b"hello, store"
    put = h2.put("/locked/key", body, SSE, ("x-amz-meta-a", "b"))
    assert put.status == 200 and put.ended and put.reset is None, put
    assert put["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
    seen = fake.last()
    assert seen.line == "PUT /locked/key HTTP/1.1"
    assert seen["host"] == h2.address and seen["x-amz-meta-a"] == "b" and seen["content-length"] == str(len(body))
    assert bytes(seen.body) == body
    get = h2.get("/locked/key")
    assert get.status == 200 and get.body == b"stored" and get["content-length"] == "6", get
    names = [name for name, _ in get.headers]
    assert all(name == name.lower() for name in names) and "connection" not in names, names
    head = h2.get("/locked/key", method="HEAD")
    assert head.status == 200 and head.body == b"" and head.ended


def test_a_body_without_a_length_goes_on_in_chunks(h2, fake):
    number = h2.head("PUT", "/open/key", end=False)
    h2.data(number, b"a" * 40_000, end=False)
    h2.data(number, b"", end=False)
    h2.data(number, b"b" * 10, end=True)
    assert h2.wait(number).status == 200
    seen = fake.last()
    assert seen["transfer-encoding"] == "chunked" and seen["content-length"] is None
    assert bytes(seen.body) == b"a" * 40_000 + b"b" * 10 and seen.complete


@pytest.mark.parametrize("size", [1, 7])
def test_a_form_in_frames_of_a_byte(h2, fake, size):
    """Of a length that was not said, too: each frame is a chunk then."""
    parts = [("key", "k"), SSE, ('file"; filename="f', "the file")]
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts).encode() + b"--b--\r\n"
    for fields in ([("content-length", str(len(body)))], []):
        number = h2.head("POST", "/locked", ("content-type", "multipart/form-data; boundary=b"), *fields, end=False)
        for at in range(0, len(body), size):
            h2.data(number, body[at:at + size], end=at + size >= len(body))
        assert h2.wait(number).status == 200
        assert bytes(fake.last().body) == body and fake.last().complete


def test_an_empty_put_says_so(h2, fake):
    assert h2.get("/open/empty", method="PUT").status == 200
    assert fake.last()["content-length"] == "0"


def test_cookies_are_joined_and_hop_fields_stay_behind(h2, fake):
    stream = h2.get("/open/key", ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"))
    assert stream.status == 200, stream
    assert fake.last().all("cookie") == ["a=1; b=2"] and fake.last()["te"] is None


def test_trailers_of_a_request_are_dropped(h2, fake):
    number = h2.head("PUT", "/open/key", ("content-length", "5"), end=False)
    h2.data(number, b"hello", end=False)
    h2.h2.send_headers(number, [("x-amz-checksum-crc32", "x")], end_stream=True)
    h2.flush()
    assert h2.wait(number).status == 200
    assert bytes(fake.last().body) == b"hello"


def test_a_chunked_response_arrives_without_chunks(h2, fake):
    def behave(link, seen):
        link.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        time.sleep(0.1)
        link.send("5\r\ndefgh\r\n0\r\n\r\n")

    fake.behave = behave
    stream = h2.get("/open/key")
    assert stream.body == b"abcdefgh" and stream.ended and stream["transfer-encoding"] is None, stream


def test_a_response_until_the_close(h2, fake):
    def behave(link, seen):
        link.send("HTTP/1.1 200 OK\r\n\r\nall of it")
        return False

    fake.behave = behave
    stream = h2.get("/open/key")
    assert stream.body == b"all of it" and stream.ended and stream.reset is None, stream


def test_expect_is_answered_with_an_interim_response(h2, fake):
    number = h2.head("PUT", "/open/key", ("content-length", "5"), ("expect", "100-continue"), end=False)
    h2.until(lambda: h2.streams[number].interim)
    assert h2.streams[number].interim == [100] and h2.streams[number].status is None
    assert fake.last()["expect"] == "100-continue" and not fake.last().body
    h2.data(number, b"hello")
    stream = h2.wait(number)
    assert stream.status == 200 and stream.interim == [100], stream


# What is refused.


def test_an_early_403_resets_its_stream_and_leaves_the_others(h2, fake, gate):
    gate.mark()
    other = h2.head("PUT", "/open/other", ("content-length", "300000"), end=False)
    h2.data(other, b"o" * 150_000, end=False)
    denied = h2.head("PUT", "/locked/key", ("content-length", "10000000"), end=False)
    h2.data(denied, b"x" * 100_000, end=False)
    stream = h2.wait(denied)
    h2.until(lambda: stream.reset is not None)
    assert stream.status == 403 and error(stream)["Code"] == "AccessDenied", stream
    assert error(stream)["RequestId"] == stream["x-amz-request-id"]
    assert len(stream.body) == int(stream["content-length"])
    assert stream.order[-2:] == ["end", "reset"] and stream.reset == NO_ERROR, stream.order
    h2.data(other, b"o" * 150_000)
    assert h2.wait(other).status == 200 and h2.streams[other].reset is None
    assert [s.target for s in fake.seen] == ["/open/other"]
    assert len(fake.last().body) == 300_000
    assert h2.goaway is None
    line = gate.audit_of(stream["x-amz-request-id"])
    assert line["decision"] == "deny" and line["bytes_refused"] == 10_000_000 and line.get("continue") is None, line


def test_a_403_before_the_body_with_expect(h2, gate):
    number = h2.head("PUT", "/locked/key", ("content-length", "10"), ("expect", "100-continue"), end=False)
    stream = h2.wait(number)
    assert stream.status == 403 and stream.interim == []
    assert gate.audit_of(stream["x-amz-request-id"])["continue"] == "refused"


def test_a_tiny_window_gets_the_whole_403(gate):
    with H2(gate.address, window=50) as h2:
        number = h2.head("PUT", "/locked/key", ("content-length", "10"), end=False)
        stream = h2.wait(number)
        assert stream.status == 403 and len(stream.body) == int(stream["content-length"]) and stream.ended, stream
        h2.until(lambda: stream.reset is not None)
        assert stream.reset == NO_ERROR


def test_many_denied_uploads_on_one_connection(h2, gate):
    for _ in range(400):
        number = h2.head("PUT", "/locked/key", ("content-length", "100000"), end=False)
        h2.data(number, b"x" * 30_000, end=False)
        assert h2.wait(number).status == 403
    assert h2.get("/open/key").status == 200 and h2.goaway is None


def test_the_stores_early_answer(h2, fake):
    def behave(link, seen):
        respond(link, "400 Bad Request", "Connection: close", body=b"<Error><Code>EntityTooLarge</Code></Error>")
        time.sleep(0.2)
        return False

    fake.behave = behave
    number = h2.head("PUT", "/open/key", ("content-length", "10000000"), end=False)
    h2.data(number, b"x" * 50_000, end=False)
    stream = h2.wait(number)
    h2.until(lambda: stream.reset is not None)
    assert stream.status == 400 and stream.ended and stream.reset == NO_ERROR, stream
    fake.reset()
    assert h2.get("/open/key").status == 200


@pytest.mark.parametrize("authority, hosts, status", [
    ("a.example", ["a.example"], 200),
    ("a.example", ["A.Example"], 200),
    (None, ["a.example"], 200),
    ("a.example", ["b.example"], 400),
    ("locked.s3.example.test", ["open.s3.example.test"], 400),
    ("a.example", ["a.example", "a.example"], 400),
    (None, ["a.example", "b.example"], 400),
    (None, [], 400),
])
def test_authority_and_host(h2, fake, authority, hosts, status):
    stream = h2.get("/open/key", *(("host", h) for h in hosts), authority=authority)
    assert stream.status == status, stream
    if status == 200:
        assert [h.lower() for h in fake.last().all("host")] == ["a.example"]
    else:
        assert error(stream)["Code"] == "BadRequest" and not fake.seen


@pytest.mark.parametrize("fields", [
    [("connection", "close")], [("transfer-encoding", "chunked")], [("te", "gzip")], [("upgrade", "h2c")],
    [("keep-alive", "5")], [("proxy-connection", "close")], [("content-length", "x")], [("content-length", "5")],
])
def test_malformed_fields_reset_the_stream(h2, fake, fields):
    stream = h2.get("/open/key", *fields)
    assert stream.reset == PROTOCOL_ERROR or stream.status == 400, stream
    assert not fake.seen
    assert h2.get("/open/key").status == 200


@pytest.mark.parametrize("pseudo, status", [
    ([(":method", "CONNECT"), (":authority", "a:443")], 405),
    ([(":method", "GET"), (":scheme", "http"), (":path", "http://open/key"), (":authority", "a")], 400),
    ([(":method", "GET"), (":scheme", "http"), (":path", "*"), (":authority", "a")], 400),
    ([(":method", "GET"), (":scheme", "http"), (":path", "?x"), (":authority", "a")], 400),
    ([(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "a")], 400),
    ([(":method", "GET"), (":scheme", "http"), (":path", "/open/a b"), (":authority", "a")], 400),
    ([(":method", "GET"), (":scheme", "http"), (":path", "/open/a<b"), (":authority", "a")], 400),
    ([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "a")], 405),
])
def test_heads_that_say_no_request(h2, fake, pseudo, status):
    number = h2.raw_head(pseudo)
    stream = h2.wait(number)
    assert stream.reset == PROTOCOL_ERROR or stream.status == status, stream
    assert not fake.seen
    assert h2.get("/open/key").status == 200


@pytest.mark.parametrize("fields", [
    [(":method", "GE T"), (":scheme", "http"), (":path", "/open/a"), (":authority", "a")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/open/a"), (":authority", "a"), ("X-Upper", "a")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/open/a"), (":authority", "a"), ("x", "a\r\nb: c")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/open/a"), (":authority", "a"), ("x y", "a")],
])
def test_what_is_no_field_ends_the_connection(h2, fake, fields):
    h2.raw_head(fields)
    h2.until(lambda: h2.goaway is not None)
    assert h2.goaway == PROTOCOL_ERROR and not fake.seen


def test_paths_go_on_byte_for_byte(h2, fake):
    for path in ("/open//a/../b", "/open/./a", "/open/a%2Fb%20?x=%23&y", "/open/a|b^c\\d{e}\"f", "/open/?prefix=/&list-type=2"):
        assert h2.get(path).status == 200, path
        assert fake.last().target == path


def test_a_body_that_does_not_keep_its_length(h2, fake):
    short = h2.head("PUT", "/open/short", ("content-length", "10"), end=False)
    h2.data(short, b"12345")
    stream = h2.wait(short)
    assert stream.reset == PROTOCOL_ERROR, stream
    long = h2.head("PUT", "/open/long", ("content-length", "10"), end=False)
    h2.h2.send_data(long, b"x" * 20)
    h2.flush()
    assert h2.wait(long).reset == PROTOCOL_ERROR
    assert h2.get("/open/key").status == 200
    wait_until("the store's connections end", lambda: True)
    assert all(not s.complete for s in fake.seen if s.target == "/open/short"), fake.seen


def test_header_limits(h2, fake):
    many = h2.get("/open/key", *((f"x-a{i}", "b") for i in range(210)))
    assert many.status == 400 and error(many)["Code"] == "RequestHeaderSectionTooLarge", many
    large = h2.get("/open/key", *((f"x-amz-meta-{i}", "b" * 3000) for i in range(25)))
    assert large.status == 400 and error(large)["Code"] == "RequestHeaderSectionTooLarge", large
    # Beyond twice the limit nobody reads them.
    huge = h2.get("/open/key", *((f"x-amz-meta-{i}", "b" * 3000) for i in range(80)))
    assert huge.status == 431 or huge.reset is not None, huge
    assert not fake.seen
    assert h2.get("/open/key").status == 200


def test_a_continuation_flood_ends_the_connection(gate):
    with H2(gate.address) as h2:
        block = h2.h2.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
        filler = b"\x00\x03x-a\x64" + b"b" * 100
        try:
            h2.socket.sendall(_frame(1, 0, 1, block))
            for _ in range(20_000):
                h2.socket.sendall(_frame(9, 0, 1, filler))
        except OSError:
            pass
        h2.until(lambda: h2.closed or h2.goaway is not None, 10)
    assert gate.memory_kib() < 300_000


# Both versions.


REQUESTS = [
    ("PUT", "/locked/key", [], 5),
    ("PUT", "/locked/key", [SSE], 5),
    ("PUT", "/locked/key", [("x-amz-server-side-encryption", "aes256")], 5),
    ("PUT", "/kms/key", [SSE], 5),
    ("PUT", "/kms/key", [("x-amz-server-side-encryption", "aws:kms")], 5),
    ("PUT", "/reported/key", [], 5),
    ("PUT", "/documented/a/../b", [], 5),
    ("PUT", "/documented/k?x-amz-server-side-encryption=AES256", [], 5),
    ("PUT", "/split/secret/k", [], 5),
    ("PUT", "/split/secret%2Fk", [], 5),
    ("PUT", "/split//secret/k", [], 5),
    ("PUT", "/unknown/key", [], 5),
    ("PUT", "/locked/key", [("expect", "100-continue")], 5),
    ("PUT", "/locked/key", [("expect", "200-ok")], 5),
    ("PUT", "/locked/key", [("x-amz-server-side-encryption-customer-algorithm", "AES256")], 5),
    ("PUT", "/open/key", [("x-amz-copy-source", "/source/secret/a")], 0),
    ("PUT", "/open/key", [("x-amz-copy-source", "/source/free")], 0),
    ("PUT", "/locked/key?partNumber=1&uploadId=u", [], 5),
    ("POST", "/locked/key?uploads", [], 0),
    ("POST", "/locked/key?uploads", [SSE], 0),
    ("GET", "/source/secret/a", [], None),
    ("GET", "/source/free", [], None),
    ("HEAD", "/source/secret/a", [], None),
    ("DELETE", "/keeper/keep/a", [], None),
    ("DELETE", "/keeper/other", [], None),
    ("DELETE", "/keeper/other?versionId=1", [], None),
    ("GET", "/", [], None),
    ("GET", "/open?acl", [], None),
    ("PATCH", "/open/key", [], None),
    ("GET", "/open/key?unknown-sub-resource", [], None),
    ("PUT", "/open/key?acl&versions", [], 5),
    ("POST", "/keeper?delete", [], b"<Delete><Object><Key>keep/a</Key></Object><Object><Key>b</Key></Object></Delete>"),
    ("POST", "/keeper?delete", [], b"<Delete><Object><Key>b</Key></Object></Delete>"),
    ("GET", "/key", [("host", "locked.s3.example.test")], None),
    ("PUT", "/key", [("host", "locked.s3.example.test")], 5),
    ("PUT", "/key", [("host", "user@locked.s3.example.test")], 5),
    ("PUT", "/key", [("host", "locked.s3.example.test.")], 5),
    ("PUT", "/locked/key", [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "https")], 5),
]

COMPARED = ("operation", "bucket", "key", "status", "code", "decision", "reason", "rule", "policy", "sid", "condition",
            "sse_requested", "sse_confirmed", "bytes_in", "bytes_out", "bytes_refused", "source_ip", "method", "tls",
            "objects", "objects_denied", "continue", "principal", "error")


def test_both_versions_decide_alike(gate, fake):
    for method, target, fields, body in REQUESTS:
        body = b"x" * body if isinstance(body, int) else body
        gate.mark()
        fake.seen.clear()
        host = dict(fields).get("host", gate.address)
        fields = [(n, v) for n, v in fields if n != "host"]
        with Wire(gate.address) as wire:
            wire.request(method, target, *(f"{n}: {v}" for n, v in fields), body=body, host=host)
            _, first = wire.final(method)
        first_seen = [(s.line, s["host"], bytes(s.body)) for s in fake.seen]
        line1 = gate.audit_new(1)[0]
        gate.mark()
        fake.seen.clear()
        with H2(gate.address) as h2:
            length = [] if body is None else [("content-length", str(len(body)))]
            number = h2.head(method, target, *length, *fields, end=not body, authority=host)
            if body:
                h2.data(number, body)
            second = h2.wait(number)
        second_seen = [(s.line, s["host"], bytes(s.body)) for s in fake.seen]
        line2 = gate.audit_new(1)[0]
        what = (method, target, fields)
        assert second.status == first.status, (what, first, second)
        assert {k: line1.get(k) for k in COMPARED} == {k: line2.get(k) for k in COMPARED}, what
        assert first_seen == second_seen, what
        assert line1.keys() == line2.keys(), what
        if first.body.startswith(b"<?xml") and first.status >= 400:
            one, two = first.xml(), error(second)
            for document in (one, two):
                for name in ("RequestId", "HostId"):
                    document.pop(name, None)
            assert one == two, what


def test_http1_goes_on_as_ever(gate):
    with Wire(gate.address) as wire:
        for piece in ("P", "UT /open/k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            wire.send(piece)
            time.sleep(0.05)
        assert wire.answer().status == 200
        # The preface is one at the start of a connection only.
        wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert wire.answer().status == 400


# Real clients, much of it.


def test_curl(gate, tmp_path):
    size = 64 << 20
    big = tmp_path / "big"
    big.write_bytes(b"0123456789abcdef" * (size // 16))
    done = curl("-T", big, "-H", "x-amz-server-side-encryption: AES256", "-o", tmp_path / "out",
                "-w", "%{http_version} %{http_code}", f"{gate.endpoint}/locked/big")
    assert done.stdout == b"2 200", done
    done = curl("-T", big, "-o", tmp_path / "out", "-w", "%{http_version} %{http_code}", f"{gate.endpoint}/locked/big")
    assert done.stdout == b"2 403", done
    assert b"<Code>AccessDenied</Code>" in (tmp_path / "out").read_bytes()


def test_a_large_upload_arrives_whole(h2, fake):
    body = b"0123456789abcdef" * (64 << 16)
    assert h2.put("/open/big", body).status == 200
    assert hashlib.md5(fake.last().body).digest() == hashlib.md5(body).digest()


def large(size: int):
    def behave(link, seen):
        link.read_body(seen)
        link.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        piece = b"z" * 65536
        for _ in range(size // 65536):
            link.send(piece)

    return behave


def test_a_large_download_and_a_slow_reader(gate, fake):
    size = 256 << 20
    fake.behave = large(size)
    before = gate.memory_kib()
    with H2(gate.address, acknowledge=False) as h2:
        numbers = [h2.head("GET", f"/open/big{i}") for i in range(8)]
        end = time.monotonic() + 3
        while time.monotonic() < end:
            h2.read(0.2)
        grown = gate.memory_kib() - before
        assert grown < 8 * 256 + 8 * 1024, grown
        # A stream that waits for its window does not hold up another connection.
        fake.reset()
        with H2(gate.address) as quick:
            assert quick.get("/open/key").body == b"stored"
        assert all(not h2.streams[n].done for n in numbers)
    # The client has gone; the store's connections are dropped.
    wait_until("the requests end", lambda: len([e for e in gate.audit()[-40:] if (e.get("key") or "").startswith("big")]) >= 8)


def test_a_download_over_small_windows_is_whole(gate, fake):
    fake.behave = large(4 << 20)
    with H2(gate.address, window=5000) as h2:
        stream = h2.wait(h2.head("GET", "/open/big"), 60)
        assert len(stream.body) == 4 << 20 and stream.ended


def test_many_streams_at_once(gate, fake):
    def behave(link, seen):
        time.sleep(0.05)
        return honest(link, seen)

    fake.behave = behave
    with H2(gate.address) as h2:
        numbers = [h2.head("GET", f"/open/key{i}") for i in range(100)]
        for number in numbers:
            assert h2.wait(number).status == 200
        assert h2.h2.remote_settings.max_concurrent_streams == 128


def test_a_stream_too_many_is_refused(gate, fake):
    hold = threading.Event()

    def behave(link, seen):
        hold.wait(20)
        return honest(link, seen)

    fake.behave = behave
    try:
        with H2(gate.address) as h2:
            h2.read(1)
            h2.h2.remote_settings.update({3: 1000})
            h2.h2.remote_settings.acknowledge()
            numbers = [h2.head("GET", f"/open/key{i}") for i in range(140)]
            h2.until(lambda: sum(h2.streams[n].reset == REFUSED_STREAM for n in numbers) == 12)
            hold.set()
            for number in numbers[:128]:
                assert h2.wait(number).status == 200
    finally:
        hold.set()


def test_over_tls_by_alpn(scratch, fake, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    run([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert]).ok()
    gate = Sealgate(scratch / "h2-tls", fake.endpoint, RULES)
    gate.config["listen"] = [{"address": gate.address, "tls": {"cert": str(cert), "key": str(key)}}]
    with gate:
        for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
            plain = socket.create_connection(("127.0.0.1", gate.port), 10)
            fresh = ssl.create_default_context(cafile=str(cert))
            if offered:
                fresh.set_alpn_protocols(offered)
            secured = fresh.wrap_socket(plain, server_hostname="localhost")
            assert secured.selected_alpn_protocol() == chosen
            if chosen != "h2":
                secured.close()
                continue
            with H2(gate.address, sock=secured) as h2:
                assert h2.put("/locked/key", b"x" * 200_000, SSE).status == 200
                number = h2.head("PUT", "/locked/key", ("content-length", "1000000"), end=False)
                stream = h2.wait(number)
                assert stream.status == 403, stream
                h2.until(lambda: stream.reset is not None)
                assert stream.reset == NO_ERROR
                line = gate.audit_of(stream["x-amz-request-id"])
                assert line["tls"] in ("1.2", "1.3"), line
        done = subprocess.run(["curl", "-sS", "--http2", "--cacert", str(cert), "-X", "PUT", "-d", "hello", "-o", "/dev/null", "-w",
                               "%{http_version} %{http_code}", f"https://localhost:{gate.port}/locked/k"],
                              capture_output=True, timeout=30)
        assert done.stdout == b"2 403", done


# What breaks.


def test_a_store_that_breaks_off_resets_the_stream(h2, fake):
    def behave(link, seen):
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + "a" * 1000)
        time.sleep(0.1)
        return False

    fake.behave = behave
    stream = h2.get("/open/key")
    assert stream.status == 200 and not stream.ended and stream.reset == INTERNAL_ERROR, stream

    def chunks(link, seen):
        link.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.1)
        return False

    fake.behave = chunks
    stream = h2.get("/open/key")
    assert not stream.ended and stream.reset == INTERNAL_ERROR, stream
    fake.reset()
    assert h2.get("/open/key").status == 200


def test_a_client_that_gives_up_ends_the_exchange(h2, fake, gate):
    gone = threading.Event()

    def behave(link, seen):
        link.read_body(seen)
        link.socket.settimeout(5)
        if link.socket.recv(1) == b"":
            gone.set()
        return False

    fake.behave = behave
    gate.mark()
    number = h2.head("GET", "/open/slow")
    wait_until("the store has it", lambda: fake.seen)
    h2.h2.reset_stream(number, CANCEL)
    h2.flush()
    assert gone.wait(3), "the store's connection stays"
    line = gate.audit_new(1)[0]
    assert line["key"] == "slow" and line["reason"] == "client", line
    fake.reset()
    assert h2.get("/open/key").status == 200


def test_an_aborted_upload_is_not_complete(h2, fake):
    number = h2.head("PUT", "/open/half", end=False)
    h2.data(number, b"x" * 1000, end=False)
    wait_until("the store has it", lambda: fake.seen and len(fake.last().body) == 1000)
    h2.h2.reset_stream(number, CANCEL)
    h2.flush()
    time.sleep(0.3)
    assert not fake.last().complete


# Floods.


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _cpu(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("delay", [0, 0.002])
def test_a_rapid_reset_flood_is_bounded(gate, fake, delay):
    """10,000 streams opened and reset: the connection is ended long before, others are served."""
    def behave(link, seen):
        if seen.target == "/open/flood":
            time.sleep(0.2)
        return honest(link, seen)

    fake.behave = behave
    asked = len(fake.seen)
    before, cpu = gate.memory_kib(), _cpu(gate.process.pid)
    with H2(gate.address) as h2:
        h2.read(1)
        sent = 0
        try:
            for i in range(10_000):
                block = h2.h2.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/open/flood"),
                                              (":authority", gate.address)])
                number = 2 * i + 1
                h2.socket.sendall(_frame(1, 5, number, block))
                if delay:
                    time.sleep(delay)
                h2.socket.sendall(_frame(3, 0, number, struct.pack(">I", CANCEL)))
                sent = i + 1
        except OSError:
            pass
        with H2(gate.address) as other:
            assert other.get("/open/other").status == 200
        h2.until(lambda: h2.goaway is not None or h2.closed, 10)
        assert h2.goaway in (ENHANCE_YOUR_CALM, None)
        if delay:
            assert sent < 2000, sent
    assert len(fake.seen) - asked < 1000
    assert gate.memory_kib() - before < 20_000
    assert _cpu(gate.process.pid) - cpu < 3


def test_pings_and_settings_do_not_pile_up(gate):
    before = gate.memory_kib()
    with H2(gate.address) as h2:
        h2.read(1)
        h2.socket.settimeout(3)
        try:
            # Nothing is read, so the answers have nowhere to go.
            for _ in range(50):
                h2.socket.sendall(_frame(6, 0, 0, b"12345678") * 5000)
                h2.socket.sendall(_frame(4, 0, 0, struct.pack(">HI", 4, 70000)) * 1000)
        except OSError:
            pass
        assert gate.memory_kib() - before < 20_000
    with H2(gate.address) as other:
        assert other.get("/open/other").status == 200


# How connections end.


def test_a_silent_connection_is_told_goodbye(gates):
    gate = gates("h2-idle", limits={"idle_timeout": "1s", "header_timeout": "1s"})
    with H2(gate.address) as h2:
        assert h2.get("/open/key").status == 200
        h2.until(lambda: h2.closed, 10)
        assert h2.goaway == NO_ERROR
    with socket.create_connection(gate.address.split(":"), 10) as half:
        half.sendall(b"PRI * HTTP/2.0\r\n\r\nSM")
        half.settimeout(5)
        while half.recv(1000):
            pass
    with socket.create_connection(gate.address.split(":"), 10) as mute:
        mute.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        mute.settimeout(15)
        while mute.recv(1000):
            pass


def test_a_drain_says_goodbye_and_finishes(scratch, fake):
    go = threading.Event()

    def behave(link, seen):
        link.read_body(seen)
        go.wait(10)
        respond(link, "200 OK", body=b"done", seen=seen)

    fake.behave = behave
    gate = Sealgate(scratch / "h2-drain", fake.endpoint, RULES, shutdown={"drain": "20s"}).start()
    try:
        with H2(gate.address) as idle, H2(gate.address) as h2:
            fake_ok = fake.behave
            fake.behave = honest
            assert idle.get("/open/key").status == 200
            fake.behave = fake_ok
            number = h2.head("GET", "/open/slow")
            wait_until("the store has it", lambda: any(s.target == "/open/slow" for s in fake.seen))
            gate.process.signal(signal.SIGTERM)
            h2.until(lambda: h2.goaway is not None, 5)
            idle.until(lambda: idle.goaway is not None, 5)
            assert h2.goaway == NO_ERROR and idle.goaway == NO_ERROR
            go.set()
            stream = h2.wait(number)
            assert stream.status == 200 and stream.body == b"done" and stream.ended, stream
    finally:
        go.set()
        gate.stop()
