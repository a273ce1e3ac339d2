"""With nothing to change, every byte passes as it is; the policy decides on what the store will see."""

import socket
import threading
import time

import pytest

from harness import fakestore
from harness.process import wait_until
from harness.rules import EXPECT, SSE
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

TARGETS = [
    "/open/k", "/open/", "/open", "/open/a%20b", "/open/a+b", "/open/./k", "/open/a/../k", "/open/a/%2e%2e/k",
    "/open//k", "/open/a//b/", "/open/%2Fk", "/open/%2fk", "/open/%C3%BC", "/open/%c3%bc", "/open/~!*'()", "/open/%7E",
    "/open/a;b=c,d@e:f&g=h$i", "/open/k?versionId=abc%2Ddef", "/open/k?x-id=GetObject", "/open/k?x=%41&y=a+b&&z=&w",
    "/open/k?", "/open?list-type=2&prefix=a%2Fb&delimiter=%2F", "/open?prefix=", "/open/k?response-content-type=a%2Fb",
    "/split/Secret/x", "/split/secre", "/split/secret", "/open/locked/k", "/open/k%3Fuploads",
    "/open/k%23frag", "/open/" + "k" * 1000, "/",
]


@pytest.mark.parametrize("target", TARGETS)
def test_target_passes_byte_for_byte(wire, fake, target):
    wire.request("GET", target)
    assert wire.answer("GET").status == 200
    assert fake.last().line == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize("target", [t for t in TARGETS if t not in ("/", "/open", "/open/") and "?" not in t])
def test_target_of_a_put_passes_byte_for_byte(wire, fake, target):
    wire.request("PUT", target, body=b"x")
    assert wire.answer().status == 200
    assert fake.last().line == f"PUT {target} HTTP/1.1"


def test_headers_pass_byte_for_byte(wire, fake):
    lines = [
        "X-CaSe: MiXeD", "x-spaces: a  b   c", "x-utf8: \xc3\xbc\xc3\xb1", "x-latin1: \xfc", "x-empty:", 'x-quoted: "a, b; c=\\"d\\""',
        "X-Amz-Meta-Twice: 1", "x-amz-meta-twice: 2", "User-Agent: Test/1 (x; y) z", "Accept-Encoding: identity",
        "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        "x-amz-date: 20260101T000000Z", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "Range: bytes=0-1", 'If-None-Match: "a", W/"b"',
        "Cookie: a=b; c=d", "Referer: http://example.test/?a=b#c", "Date: Thu, 01 Jan 2026 00:00:00 GMT", "Pragma: no-cache",
        "Content-Type: text/plain; charset=utf-8", "x-long: " + "l" * 5000,
    ]
    wire.request("GET", "/open/k", *lines)
    assert wire.answer("GET").status == 200
    sent = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    got = [(n, v) for n, v in fake.last().headers if n not in ("host", "connection")]
    assert sorted(got) == sorted(sent)
    assert [v for n, v in got if n == "x-amz-meta-twice"] == ["1", "2"]


def test_host_passes(wire, fake):
    wire.request("GET", "/open/k", host="Some.Host.Test:1234")
    assert wire.answer("GET").status == 200
    assert fake.last().all("host") == ["Some.Host.Test:1234"]


def test_nothing_is_added(wire, fake):
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200
    assert {n for n, _ in fake.last().headers} <= {"host", "connection"}


def test_body_passes_byte_for_byte(wire, fake):
    body = bytes(range(256)) * 300
    wire.request("PUT", "/open/k", body=body)
    assert wire.answer().status == 200
    assert fake.last().body == body
    assert fake.last().all("content-length") == [str(len(body))]
    assert fake.last()["transfer-encoding"] is None


def test_sse_headers_pass(wire, fake):
    lines = ["x-amz-server-side-encryption: aws:kms", "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:us-east-1:1:key/k",
             "x-amz-server-side-encryption-context: eyJhIjoiYiJ9", "x-amz-server-side-encryption-bucket-key-enabled: true"]
    wire.request("PUT", "/kms/k", *lines, body=b"x")
    assert wire.answer().status == 200
    for line in lines:
        name, _, value = line.partition(": ")
        assert fake.last().all(name) == [value]


ANSWERS = {
    "206": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nx-amz-version-id: v\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
    "404": b"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: 8\r\n\r\n<Error/>",
    "412": b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n",
    "416": b"HTTP/1.1 416 Requested Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\nx-amz-meta-A: 1\r\nx-amz-meta-b: \xc3\xbc\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                    b"Server: Strange/1\r\nCache-Control: max-age=1\r\nContent-Length: 1\r\n\r\nx",
    "long": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"y" * 3_000_000,
}


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS)
def test_answers_pass(wire, fake, raw):
    fake.behave = lambda link, seen: link.send(raw) and None
    wire.request("GET", "/open/k")
    answer = wire.answer("GET")
    want, _, body = raw.partition(b"\r\n\r\n")
    lines = want.decode("latin-1").split("\r\n")
    assert answer.status == int(lines[0].split(" ")[1])
    assert answer.reason
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        if name != "Transfer-Encoding":
            assert value in answer.all(name), (line, answer)
    assert answer.body == (b"abcde" if b"chunked" in want else body)
    fake.behave = fakestore.honest
    wire.request("GET", "/open/k")
    assert wire.answer("GET").status == 200


def test_head_keeps_its_length(wire, fake):
    fake.behave = lambda link, seen: link.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"e\"\r\n\r\n") and None
    wire.request("HEAD", "/open/k")
    answer = wire.answer("HEAD")
    assert answer["content-length"] == "12345" and answer["etag"] == '"e"'
    assert wire.silent(0.2)


# The policy decides on exactly the bucket and key that the store will see


REFUSED = [
    "/locked/k", "/%6cocked/k", "/%6C%6F%63%6B%65%64/k", "/locked/%2e%2e/open/k", "/locked/../open/k", "/locked//k", "/locked/./k",
    "/locked/%2Fk", "/locked/k?foo", "/locked/k?x-id=PutObject", "/locked/k?foo=bar&baz", "/split/secret/k", "/split/secret%2Fk",
    "/split/%73ecret/k", "/split/secret/../x", "/split/secret/", "/unruled/k", "/locked/k?versionid=1", "/locked/k?",
]


@pytest.mark.parametrize("target", REFUSED)
def test_put_is_refused_however_its_path_is_written(gate, fake, target):
    with Wire(gate.address) as wire:
        wire.request("PUT", target, EXPECT, length=10)
        interim, answer = wire.final()
        assert interim == []
        if "%" in target or ".." in target:
            # Refused by the policy, or because it could be read in two ways.
            assert answer.status in (400, 403), answer
            assert_refused(answer, answer.status, answer.code, closes=True)
        else:
            assert_refused(answer, closes=True)
    assert fake.seen == []


# Keys of which another store could make one that is not open: passed as they are or refused, never changed.
DOUBTFUL = ["/split//secret/x", "/split/x/../secret/y", "/split/./secret/x", "/split/x/%2e%2e/secret/y", "/open/../locked/k",
            "/open/%2e%2e/locked/k", "/open/a/../../locked/k", "/open/%2e%2e%2flocked/k", "/open/.."]


@pytest.mark.parametrize("target", DOUBTFUL)
def test_key_that_could_be_another(gate, fake, target):
    with Wire(gate.address) as wire:
        wire.request("PUT", target, EXPECT, length=1)
        answer = wire.answer()
        if answer.status == 100:
            wire.send(b"x")
            assert wire.answer().status == 200
            assert fake.last().target == target
        else:
            assert answer.status in (400, 403), answer
            assert answer["connection"].lower() == "close"
            assert fake.seen == []


@pytest.mark.parametrize("target", ["/split/secret%5Cx", "/split/x%5C..%5Csecret%5Cy", "/split/%5Csecret/x", "/split/x%5C..%2Fsecret%5Cy"])
def test_backslash_is_a_slash_to_some_stores(wire, fake, target):
    wire.request("PUT", target, length=0)
    assert_refused(wire.answer(), 403, "AccessDenied")
    assert fake.seen == []


ODD = [
    "//locked/k", "///locked/k", "/./locked/k", "/../locked/k", "/%2e%2e/locked/k", "/%2Flocked/k", "/locked%2Fk", "/open%2F../locked/k",
    "/open%2f%2e%2e%2flocked/k", "/%zz/k", "/open/%zz", "/open/%", "/open/%4", "/open%00/k", "/open\\..\\locked/k", "/LOCKED/k", "*",
    "/open/k\xff%", "/open%20/k", "/locked;x/k", "/locked%3Fx/k",
]


@pytest.mark.parametrize("target", ODD)
def test_put_with_a_bucket_that_could_be_another(gate, fake, target):
    with Wire(gate.address) as wire:
        wire.request("PUT", target, EXPECT, length=10)
        interim, answer = wire.final()
        assert interim == []
        assert answer.status in (400, 403, 405), answer
        assert answer["connection"].lower() == "close"
        assert wire.ends()
    assert fake.seen == []


@pytest.mark.parametrize("target", ["http://{host}/locked/k", "HTTP://{host}/locked/k", "http://elsewhere.test/locked/k",
                                    "https://{host}/locked/k", "http://locked.s3.example.test/k", "http://{host}//locked/k",
                                    "http://user@{host}/locked/k", "ftp://{host}/locked/k", "http:///locked/k"])
def test_absolute_form_denied(gate, fake, target):
    with Wire(gate.address) as wire:
        wire.request("PUT", target.format(host=gate.address), EXPECT, length=10)
        interim, answer = wire.final()
        assert interim == []
        assert answer.status in (400, 403), answer
        assert wire.ends()
    assert fake.seen == []


def test_absolute_form_allowed_is_what_the_store_sees(gate, wire, fake):
    wire.request("GET", f"http://{gate.address}/open/k?x=1")
    answer = wire.answer("GET")
    # Served, or refused as no origin form: never read in another way than the store reads it.
    if answer.status == 200:
        assert fake.last().target in ("/open/k?x=1", f"http://{gate.address}/open/k?x=1")
        assert fake.last().all("host") == [gate.address]
    else:
        assert answer.status == 400 and fake.seen == []


def test_absolute_form_of_another_host(gate, wire, fake):
    # RFC 9112 3.2.2: the authority in the target is the one that counts.
    wire.request("PUT", "http://open.s3.example.test/k", EXPECT, length=1, host="locked.s3.example.test")
    interim, answer = wire.final()
    if interim:
        pytest.fail(f"invited although target and Host name two buckets: {interim}")
    assert answer.status in (400, 403)
    assert fake.seen == []


# Virtual-host style


@pytest.mark.parametrize(("host", "target"), [
    ("locked.s3.example.test", "/k"), ("LOCKED.s3.example.test", "/k"), ("locked.S3.Example.TEST:8080", "/k"),
    ("locked.s3.example.test", "/open/k"), ("locked.s3.example.test.", "/k"), ("unruled.s3.example.test", "/k"),
    ("s3.example.test", "/locked/k"), ("a.b.s3.example.test", "/open/k"),
])
def test_virtual_host_denied(gate, fake, host, target):
    with Wire(gate.address) as wire:
        wire.request("PUT", target, EXPECT, length=10, host=host)
        interim, answer = wire.final()
        assert interim == []
        assert answer.status in ((403,) if host.rstrip(".:8080").islower() and not host.endswith(".") else (400, 403)), answer
        assert wire.ends()
    assert fake.seen == []


@pytest.mark.parametrize(("host", "target"), [
    ("open.s3.example.test", "/k"), ("open.s3.example.test:8080", "/locked/k"), ("s3.example.test", "/open/k"),
    ("xs3.example.test", "/open/k"),
])
def test_virtual_host_allowed(wire, fake, host, target):
    wire.request("PUT", target, body=b"x", host=host)
    assert wire.answer().status == 200
    assert fake.last().target == target
    assert fake.last().all("host") == [host]


@pytest.mark.parametrize("host", ["locked.localhost", "locked.localhost.x", "locked.localhost-2.svc:80"])
def test_a_host_that_holds_the_stores_own_name(scratch, fake, host):
    """versitygw with `--virtual-domain localhost` takes what stands before it for a bucket, whatever comes behind."""
    with Sealgate(scratch / "own-name", fake.endpoint.replace("127.0.0.1", "localhost"), [{"bucket": "locked", "require": "any"}, {"bucket": "open"}]) as gate:
        with Wire(gate.address) as wire:
            wire.request("PUT", "/open/k", body=b"x", host=host)
            answer = wire.answer()
            assert answer.status == 400 and b"base_domains" in answer.body
        assert fake.seen == []
        with Wire(gate.address) as wire:
            wire.request("PUT", "/open/k", body=b"x", host="localhost")
            assert wire.answer().status == 200


# What S3 does not have


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "BREW", "put", "PROPFIND", "X"])
def test_method_that_s3_does_not_have(gate, fake, method):
    with Wire(gate.address) as wire:
        wire.request(method, "/open/k")
        answer = wire.answer("GET")
        assert answer.status in ((405,) if method != "CONNECT" else (400, 405)), answer
    assert fake.seen == []


@pytest.mark.parametrize(("method", "target"), [
    ("POST", "/open/k"), ("POST", "/open/k?nonsense"), ("POST", "/"), ("PUT", "/"), ("DELETE", "/"), ("POST", "/open?nonsense"),
    ("POST", "/open/k?partNumber=1"),
])
def test_operation_that_is_not_recognised(wire, fake, method, target):
    wire.request(method, target)
    answer = wire.answer(method)
    assert answer.status in (405, 501), answer
    assert answer.code in ("MethodNotAllowed", "NotImplemented")
    assert fake.seen == []


def test_service_level_passes(wire, fake):
    wire.request("GET", "/")
    assert wire.answer("GET").status == 200
    assert fake.last().target == "/"


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
@pytest.mark.parametrize("target", ["/unruled", "/unruled/", "/unruled/k", "/unruled?versioning"])
def test_bucket_without_a_rule(wire, fake, method, target):
    wire.request(method, target)
    answer = wire.answer(method)
    if "?" in target and method in ("HEAD", "DELETE"):
        assert answer.status == 405, answer
    elif method == "HEAD":
        assert answer.status == 403
    else:
        assert_refused(answer)
    assert fake.seen == []


# What is demanded, and of whom


@pytest.mark.parametrize(("bucket", "value", "passes"), [
    ("locked", "AES256", True), ("locked", "aws:kms", True), ("locked", "aws:kms:dsse", True),
    ("aes256", "AES256", True), ("aes256", "aws:kms", False), ("kms", "aws:kms", True), ("kms", "AES256", False),
    ("kms", "aws:kms:dsse", False), ("documented", "AES256", True), ("documented", "aws:kms", True),
])
def test_require(gate, fake, bucket, value, passes):
    with Wire(gate.address) as wire:
        wire.request("PUT", f"/{bucket}/k", EXPECT, f"X-Amz-Server-Side-Encryption: {value}", length=1)
        answer = wire.answer()
        if passes:
            assert answer.status == 100
            wire.send(b"x")
            assert wire.answer().status == 200
        else:
            assert_refused(answer, closes=True)
            assert fake.seen == []


@pytest.mark.parametrize("value", ["", "aes256", "AES-256", "none", "aws:kms ", "AES256,AES256"])
def test_value_that_is_none(gate, fake, value):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/locked/k", EXPECT, f"x-amz-server-side-encryption: {value}", length=1)
        interim, answer = wire.final() if value.strip() != "aws:kms" else (None, None)
        if answer is None:
            # White space around a value is none of it.
            assert wire.answer().status == 100
            wire.send(b"x")
            assert wire.answer().status == 200
            return
        assert interim == []
        assert answer.status in (400, 403), answer
        assert answer["connection"].lower() == "close"
    assert fake.seen == []


@pytest.mark.parametrize(("method", "target"), [
    ("GET", "/locked/k"), ("HEAD", "/locked/k"), ("DELETE", "/locked/k"), ("GET", "/locked?list-type=2"), ("PUT", "/locked/k?tagging"),
    ("PUT", "/locked/k?acl"), ("GET", "/locked/k?acl"), ("DELETE", "/locked/k?uploadId=u"), ("GET", "/locked?uploads"),
    ("PUT", "/locked"), ("HEAD", "/locked"), ("POST", "/locked/k?restore"), ("PUT", "/locked/k?retention"),
])
def test_other_operations_need_no_sse(wire, fake, method, target):
    wire.request(method, target)
    assert wire.answer(method).status == 200
    assert fake.last().target == target


# Multipart


def test_initiate_needs_sse(wire, fake):
    wire.request("POST", "/locked/k?uploads")
    assert_refused(wire.answer("POST"))
    assert fake.seen == []


def test_initiate_with_sse(wire, fake):
    wire.request("POST", "/locked/k?uploads", SSE)
    answer = wire.answer("POST")
    assert answer.status == 200 and b"UploadId" in answer.body


@pytest.mark.parametrize(("method", "target", "lines"), [
    ("PUT", "/{b}/k?partNumber=1&uploadId=u", []), ("PUT", "/{b}/k?uploadId=u&partNumber=1&x-id=UploadPart", []),
    ("PUT", "/{b}/k?partNumber=1&uploadId=u", ["x-amz-copy-source: /open/s"]), ("POST", "/{b}/k?uploadId=u", []),
], ids=["UploadPart", "UploadPart x-id", "UploadPartCopy", "Complete"])
def test_parts_inherit_or_are_literal(gate, fake, method, target, lines):
    with Wire(gate.address) as wire:
        wire.request(method, target.format(b="locked"), *lines, body=b"x" if not lines else b"")
        assert wire.answer(method).status == 200
    with Wire(gate.address) as wire:
        wire.request(method, target.format(b="literal"), *lines, body=b"x" if not lines else b"")
        assert_refused(wire.answer(method))
    assert [s.target for s in fake.seen] == [target.format(b="locked")]


def test_part_number_alone_is_a_put(gate, fake):
    for query in ("partNumber=1", "uploadId", "partNumber=&x"):
        with Wire(gate.address) as wire:
            wire.request("PUT", f"/locked/k?{query}", EXPECT, length=1)
            interim, answer = wire.final()
            assert interim == [] and answer.status in (400, 403, 501), answer
    assert fake.seen == []


def test_sse_on_a_part_is_refused_as_s3_does(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k?partNumber=1&uploadId=u", SSE, EXPECT, length=1)
        assert_refused(wire.answer(), 400, "InvalidArgument", closes=True)
    assert fake.seen == []


# Copies: decided on both ends


COPIES = ["/source/secret/k", "source/secret/k", "source/secret%2Fk", "/source/%73ecret/k", "source/secret/k?versionId=1",
          "arn:aws:s3:::source/secret/k", "%2Fsource%2Fsecret%2Fk"]


@pytest.mark.parametrize("source", COPIES)
def test_copy_is_decided_on_its_source(gate, fake, source):
    for target in ("/open/k", "/open/k?partNumber=1&uploadId=u"):
        with Wire(gate.address) as wire:
            wire.request("PUT", target, f"x-amz-copy-source: {source}")
            answer = wire.answer()
            assert answer.status in ((403,) if not source.startswith(("arn", "%2F")) else (400, 403, 501)), answer
    assert fake.seen == []


def test_copy_from_a_bucket_without_a_rule(wire, fake):
    wire.request("PUT", "/open/k", "x-amz-copy-source: /unruled/k")
    assert_refused(wire.answer())
    assert fake.seen == []


def test_copy_is_decided_on_its_target(wire, fake):
    wire.request("PUT", "/locked/k", "x-amz-copy-source: /open/k")
    assert_refused(wire.answer())
    wire.request("PUT", "/locked/k", "x-amz-copy-source: /open/k", SSE)
    assert wire.answer().status == 200
    assert len([s for s in fake.seen if s.method == "PUT"]) == 1


def test_copy_between_open_buckets(wire, fake):
    wire.request("PUT", "/open/k", "x-amz-copy-source: /open/a%20b?versionId=x", "x-amz-metadata-directive: REPLACE")
    assert wire.answer().status == 200
    assert fake.last()["x-amz-copy-source"] == "/open/a%20b?versionId=x"


@pytest.mark.parametrize("source", ["", "/", "open", "/open", "/open/", "///"])
def test_copy_source_that_is_none(wire, fake, source):
    wire.request("PUT", "/open/k", f"x-amz-copy-source: {source}")
    answer = wire.answer()
    assert answer.status == 400, answer
    assert fake.seen == []


def test_two_copy_sources(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k", "x-amz-copy-source: /open/a", "x-amz-copy-source: /source/secret/k")
        answer = wire.answer()
        assert answer.status in (400, 403)
    assert fake.seen == []


# Bodies that name objects


def _delete(*keys: str) -> bytes:
    return ("<Delete>" + "".join(f"<Object><Key>{k}</Key></Object>" for k in keys) + "</Delete>").encode()


def test_delete_objects_per_key(wire, fake):
    wire.request("POST", "/keeper?delete", "Content-Type: application/xml", body=_delete("a", "keep/1", "b", "keep/2"))
    answer = wire.answer("POST")
    assert answer.status == 200, answer
    text = answer.body.decode()
    for key in ("keep/1", "keep/2"):
        assert f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>" in text, text
    # The others cannot be passed on in part, a signature being over the whole: said, never silently dropped.
    for key in ("a", "b"):
        assert f"<Deleted><Key>{key}</Key></Deleted>" in text or f"<Error><Key>{key}</Key><Code>" in text, text
    assert all("keep/" not in s.body.decode() for s in fake.seen), "what is denied never reaches the store"


def test_delete_objects_all_denied(wire, fake):
    wire.request("POST", "/keeper?delete", body=_delete("keep/1", "keep/&amp;"))
    answer = wire.answer("POST")
    assert answer.status == 200 and answer.body.count(b"<Error>") == 2, answer
    assert b"keep/&amp;" in answer.body
    assert fake.seen == []


def test_delete_objects_none_denied_passes_as_it_is(wire, fake):
    body = b'<?xml version="1.0"?>\n' + _delete("a", "b&amp;c") + b"\n"
    wire.request("POST", "/keeper?delete", "Content-MD5: x", body=body)
    assert wire.answer("POST").status == 200
    assert fake.last().body == body and fake.last()["content-md5"] == "x"


@pytest.mark.parametrize("body", [
    b"", b"nonsense", b"<Delete><Object><Key>a</Key></Object>", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
    b"<Delete><Object><Key>&e;</Key></Object></Delete>", b"<Other/>", b"<Delete><Object></Object></Delete>", b"\xff\xfe<Delete/>",
])
def test_delete_objects_that_cannot_be_read(wire, fake, body):
    wire.request("POST", "/keeper?delete", body=body)
    answer = wire.answer("POST")
    assert answer.status == 400 and answer.code == "MalformedXML", answer
    assert fake.seen == []


def test_delete_objects_is_bounded(gates, fake):
    gate = gates("xml", limits={"xml_bytes": "64KiB"})
    with Wire(gate.address) as wire:
        wire.request("POST", "/keeper?delete", length=10 * 1024 * 1024)
        wire.push(10 * 1024 * 1024, patience=1.5)
        answer = wire.answer("POST")
        assert answer.status == 400, answer
        assert wire.ends()
    assert fake.seen == []


def test_delete_one(wire, fake):
    wire.request("DELETE", "/keeper/keep/1")
    assert_refused(wire.answer("DELETE"))
    wire.request("DELETE", "/keeper/keep/1?versionId=2")
    assert_refused(wire.answer("DELETE"))
    wire.request("DELETE", "/keeper/other")
    assert wire.answer("DELETE").status == 200
    assert len(fake.seen) == 1


# What could lead elsewhere


@pytest.mark.parametrize("line, status, code", [
    ("PUT /open/k?uploadId=..%2F..%2Fx&partNumber=1", 404, "NoSuchUpload"),
    ("GET /open/k?versionId=..%2Fx", 400, "InvalidArgument"),
    ("GET /open/k?versionId=.x", 400, "InvalidArgument"),
    ("PUT /open/k?X-Minio-Source-Mtime=1", 501, "NotImplemented"),
    # Ceph RGW appends without encryption.
    ("PUT /open/k?append&position=0", 501, "NotImplemented"),
    # Ceph RGW decodes a pair before it parts it: an `uploadId` that is empty, so a PutObject.
    ("PUT /open/k?partNumber=1&uploadId=x&uploadId%3D", 400, "InvalidRequest"),
    ("PUT /open/k?a%26acl", 400, "InvalidRequest"),
])
def test_query_that_could_lead_elsewhere(wire, fake, line, status, code):
    method, target = line.split(" ")
    wire.request(method, target)
    assert_refused(wire.answer("GET"), status, code)
    assert fake.seen == []


@pytest.mark.parametrize("header", ["X-Minio-Source-Replication-Request: true", "x-minio-anything: 1", "x-amz-replication-status: REPLICA",
                                    "x-rgw-server-side-encryption:", "x-goog-meta-a: b", "x-object-meta-a: b", "X-SeaweedFS-Anything: 1"])
def test_extension_of_one_store_is_refused(wire, fake, header):
    wire.request("PUT", "/open/k", SSE, header, length=0)
    assert_refused(wire.answer(), 501, "NotImplemented")
    assert fake.seen == []


@pytest.mark.parametrize("host", ["S3.example.test", "b.S3.Example.test", "open.s3.example.test.evil.test", "s3.example.test.evil.test"])
def test_host_that_stores_read_differently(wire, fake, host):
    wire.request("GET", "/open/k", host=host)
    assert_refused(wire.answer("GET"), 400, "InvalidRequest")
    assert fake.seen == []


def test_administration_below_a_bucket(wire, fake):
    wire.request("GET", "/minio/admin/v3/info", host="open.s3.example.test")
    assert wire.answer("GET").status == 400
    assert fake.seen == []


def test_hosts_can_be_listed(gates, fake):
    gate = gates("hosts", hosts=["127.0.0.1", "gate.test"], base_domains=["s3.example.test"])
    for host, status in {gate.address: 200, "gate.test:99": 200, "open.s3.example.test": 200, "open.other.test": 400,
                         "GATE.test": 400, "127.0.0.2": 400}.items():
        with Wire(gate.address) as wire:
            wire.request("GET", "/open/k", host=host)
            answer = wire.answer("GET")
            assert answer.status == status, (host, answer)


def test_hosts_below_the_stores_own_name(gates, fake):
    """A store that knows no domain takes them for path style, one that does for a bucket: /locked/k is what counts for the former."""
    by_name = {"store_options": {"endpoint": fake.endpoint.replace("127.0.0.1", "localhost")}}
    unknown = gates("by-name", **by_name)
    for target in ("/locked/k", "http://open.localhost/locked/k"):
        with Wire(unknown.address) as wire:
            wire.request("PUT", target, host="open.localhost", length=0)
            assert_refused(wire.answer(), 400, "InvalidRequest")
    listed = gates("by-name-listed", hosts=["open.localhost", "localhost"], **by_name)
    known = gates("by-name-known", base_domains=["localhost"], **by_name)
    assert fake.seen == []
    for gate, host, status in [(unknown, "localhost", 200), (listed, "open.localhost", 400), (listed, "localhost", 200), (known, "open.localhost", 200)]:
        with Wire(gate.address) as wire:
            wire.request("GET", "/open/k", host=host)
            assert wire.answer("GET").status == status, host
    assert [seen.target for seen in fake.seen] == ["/open/k"] * 3


@pytest.mark.parametrize("interim", [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
], ids=["101", "many"])
@pytest.mark.parametrize("upgrade", [(), ("Connection: upgrade", "Upgrade: x")], ids=["plain", "upgrade"])
def test_store_that_leaves_the_protocol(wire, fake, interim, upgrade):
    ended = []

    def behave(link, seen):
        link.send(interim)
        try:
            ended.append(link.socket.recv(1) == b"")
        except ConnectionResetError:
            ended.append(True)
        return False

    fake.behave = behave
    wire.request("GET", "/open/k", *upgrade)
    before, answer = wire.final("GET")
    assert_refused(answer, 503, "ServiceUnavailable")
    assert len(before) <= 16 and all(a.status != 101 for a in before)
    assert wait_until("the end of the store's connection", lambda: ended) == [True]
    assert len(fake.seen) == 1


def test_body_until_the_end_of_the_connection(gate, fake):
    """To an HTTP/1.1 client it becomes chunks, so that one that was cut off does not look whole."""
    def ended(link, seen):
        link.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        return False

    fake.behave = ended
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        answer = wire.final("GET")[1]
        assert answer["transfer-encoding"] == "chunked" and answer.body == b"hello"

    def cut(link, seen):
        link.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        time.sleep(0.2)
        return link.reset()

    fake.behave = cut
    with Wire(gate.address) as wire:
        wire.request("GET", "/open/k")
        with pytest.raises((EOFError, ConnectionResetError)):
            wire.final("GET")


def test_pipelined_request_does_not_cut_an_answer_off(gate, fake):
    """The store's early answer ends the connection; what the client sent meanwhile must not turn that into a reset."""
    body, more = b"x" * 400_000, threading.Event()

    def behave(link, seen):
        link.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for at in range(0, len(body), 40_000):
            link.send(body[at : at + 40_000])
            if at == 0:
                more.wait(10)
        return False

    fake.behave = behave
    for turn in range(5):
        more.clear()
        with Wire(gate.address) as wire:
            wire.send(b"GET /open/k HTTP/1.0\r\nHost: x\r\n\r\n")
            wait_until("the store's request", lambda: len(fake.seen) > turn, 10, 0.001)
            wire.send(b"GET /open/k HTTP/1.0\r\nHost: x\r\n\r\n" * 10)
            more.set()
            assert wire.final("GET")[1].body == body


def test_client_that_never_reads_its_refusals(gates, fake):
    proxy = gates("unread", rules=[{"bucket": "*", "require": "any"}], limits={"idle_timeout": "1s", "header_timeout": "1s", "linger": {"bytes": "1KiB", "time": "1s"}})
    with socket.create_connection(("127.0.0.1", proxy.port)) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(0.5)
        try:
            for _ in range(200):
                link.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\n\r\n" * 500)
        except OSError:
            pass
        wait_until("its end", lambda: proxy.metrics()["sealgate_connections"] == 0, 10)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_nothing_is_sent_twice(gates, fake, method):
    """A store that takes a request on a kept connection and ends it without a word: it may have done what it was asked."""
    proxy = gates("once", rules=[{"bucket": "*"}])
    with Wire(proxy.address) as wire:
        wire.request("GET", "/b/first")
        assert wire.answer("GET").status == 200
        kept = fake.last().link

        def ends(link, seen):
            link.read_body(seen)
            return False

        fake.behave = ends
        before = len(fake.seen)
        wire.request(method, "/b/second", **({"body": b"x"} if method == "PUT" else {}))
        assert wire.answer(method).status == 503
        assert [(seen.method, seen.link) for seen in fake.seen[before:]] == [(method, kept)]


def test_a_kept_connection_that_the_store_has_closed_is_not_used(gates, fake):
    proxy = gates("once", rules=[{"bucket": "*"}])

    def once(link, seen):
        fakestore.ok(link, seen)
        return False

    fake.behave = once
    for _ in range(20):
        with Wire(proxy.address) as wire:
            wire.request("GET", "/b/k")
            assert wire.answer("GET").status == 200
        wait_until("the end of the store's connection", lambda: fake.last().link in fake.ended, 5, 0.001)


def test_the_stores_time_is_its_own(gates, fake):
    """A client that takes a second to send its body does not make the store a slow one."""
    proxy = gates("times", rules=[{"bucket": "*"}])

    def late(link, seen):
        link.read_body(seen)
        time.sleep(0.5)
        fakestore.ok(link, seen)

    fake.behave = late
    proxy.mark()
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", length=4)
        for _ in range(4):
            time.sleep(0.3)
            wire.send(b"x")
        assert wire.answer().status == 200
    line = proxy.audit_new()[0]
    assert 300_000 <= line["store_us"] < 1_000_000 and line["duration_us"] >= 1_250_000
