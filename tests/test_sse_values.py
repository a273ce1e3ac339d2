"""SSE headers are validated as S3 does, with its codes; a presigned query counts like a header."""

import base64
import hashlib

import pytest

from harness.rules import EXPECT, SSE
from harness.wire import Wire, assert_refused

P = "x-amz-server-side-encryption"
KEY = base64.b64encode(bytes(range(32))).decode()
MD5 = base64.b64encode(hashlib.md5(bytes(range(32))).digest()).decode()
C_ALGORITHM = f"{P}-customer-algorithm: AES256"
C_KEY = f"{P}-customer-key: {KEY}"
C_MD5 = f"{P}-customer-key-MD5: {MD5}"
SSE_C = [C_ALGORITHM, C_KEY, C_MD5]
KMS = f"{P}: aws:kms"


@pytest.fixture
def plain_ssec(gates, fake):
    """A proxy that takes SSE-C without TLS, so that what else is wrong with it shows."""
    return gates("ssec", sse_c_over_http="allow")


def answer_of(address: str, *lines: str, target: str = "/open/k", method: str = "PUT", length: int | None = 10):
    with Wire(address) as wire:
        wire.request(method, target, *lines, *([EXPECT] if length else []), length=length)
        interim, answer = wire.final(method)
        assert interim == [], "invited"
        return answer


# (headers, code): all 400
WRONG = {
    "SSE and SSE-C": ([SSE, *SSE_C], "InvalidArgument"),
    "SSE and SSE-C of another algorithm": ([SSE, f"{P}-customer-algorithm: AES192", C_KEY, C_MD5], "InvalidArgument"),
    "SSE-C algorithm": ([f"{P}-customer-algorithm: AES192", C_KEY, C_MD5], "InvalidEncryptionAlgorithmError"),
    "SSE-C algorithm in lower case": ([f"{P}-customer-algorithm: aes256", C_KEY, C_MD5], "InvalidEncryptionAlgorithmError"),
    "SSE-C without algorithm": ([C_KEY, C_MD5], "InvalidArgument"),
    "SSE-C without key": ([C_ALGORITHM, C_MD5], "InvalidArgument"),
    "SSE-C without MD5": ([C_ALGORITHM, C_KEY], "InvalidArgument"),
    "SSE-C algorithm alone": ([C_ALGORITHM], "InvalidArgument"),
    "SSE-C key too short": ([C_ALGORITHM, f"{P}-customer-key: {base64.b64encode(b'short').decode()}", C_MD5], "InvalidArgument"),
    "SSE-C key of 33 bytes": ([C_ALGORITHM, f"{P}-customer-key: {base64.b64encode(b'x' * 33).decode()}",
                               f"{P}-customer-key-MD5: {base64.b64encode(hashlib.md5(b'x' * 33).digest()).decode()}"], "InvalidArgument"),
    "SSE-C key no base64": ([C_ALGORITHM, f"{P}-customer-key: !!!", C_MD5], "InvalidArgument"),
    "SSE-C MD5 of another key": ([C_ALGORITHM, C_KEY, f"{P}-customer-key-MD5: {base64.b64encode(bytes(16)).decode()}"], "InvalidArgument"),
    "key id without aws:kms": ([f"{P}-aws-kms-key-id: main"], "InvalidArgument"),
    "key id beside AES256": ([SSE, f"{P}-aws-kms-key-id: main"], "InvalidArgument"),
    "unknown value": ([f"{P}: AES192"], "InvalidArgument"),
    "misspelt value": ([f"{P}: aes:kms"], "InvalidArgument"),
    "lower case": ([f"{P}: aes256"], "InvalidArgument"),
    "same header twice": ([SSE, SSE], "InvalidArgument"),
    "two values": ([SSE, KMS], "InvalidArgument"),
    "two values in other cases": ([SSE, "X-AMZ-SERVER-SIDE-ENCRYPTION: aws:kms"], "InvalidArgument"),
    "key id twice": ([KMS, f"{P}-aws-kms-key-id: a", f"{P}-aws-kms-key-id: b"], "InvalidArgument"),
    "SSE-C algorithm twice": ([C_ALGORITHM, *SSE_C], "InvalidArgument"),
}


@pytest.mark.parametrize(("lines", "code"), WRONG.values(), ids=WRONG)
def test_wrong_headers(plain_ssec, fake, lines, code):
    answer = answer_of(plain_ssec.address, *lines)
    assert_refused(answer, 400, code, closes=True)
    assert fake.seen == []


@pytest.mark.parametrize(("lines", "code"), WRONG.values(), ids=WRONG)
def test_wrong_headers_of_an_initiate(plain_ssec, fake, lines, code):
    answer = answer_of(plain_ssec.address, *lines, target="/open/k?uploads", method="POST", length=None)
    assert_refused(answer, 400, code, closes=False)
    assert fake.seen == []


@pytest.mark.parametrize(("lines", "code"), WRONG.values(), ids=WRONG)
def test_wrong_headers_of_a_copy(plain_ssec, fake, lines, code):
    answer = answer_of(plain_ssec.address, *lines, "x-amz-copy-source: /open/s", length=None)
    assert_refused(answer, 400, code, closes=False)
    assert fake.seen == []


TEXTS = [
    ([SSE, *SSE_C], "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"),
    ([f"{P}-customer-algorithm: AES192", C_KEY, C_MD5], "The Encryption request you specified is not valid. Supported value: AES256."),
    ([C_KEY, C_MD5], "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."),
    ([C_ALGORITHM, C_MD5], "must provide an appropriate secret key."),
    ([C_ALGORITHM, f"{P}-customer-key: c2hvcnQ=", C_MD5], "The secret key was invalid for the specified algorithm."),
    ([C_ALGORITHM, C_KEY, f"{P}-customer-key-MD5: {base64.b64encode(bytes(16)).decode()}"],
     "The calculated MD5 hash of the key did not match the hash that was provided."),
    ([f"{P}-aws-kms-key-id: main"], "Server Side Encryption with AWS KMS managed key requires HTTP header"),
]


@pytest.mark.parametrize(("lines", "text"), TEXTS, ids=[t[-20:] for _, t in TEXTS])
def test_wrong_headers_in_the_words_of_s3(plain_ssec, lines, text):
    assert text in answer_of(plain_ssec.address, *lines).xml()["Message"]


def test_argument_is_named(plain_ssec):
    error = answer_of(plain_ssec.address, SSE, *SSE_C).xml()
    assert (error.get("ArgumentName"), error.get("ArgumentValue")) == (P, "AES256")


def test_keys_are_never_repeated(plain_ssec):
    for lines, _ in WRONG.values():
        body = answer_of(plain_ssec.address, *lines).body
        for line in lines:
            if "customer-key" in line and len(line) > 60:
                assert line.partition(": ")[2].encode() not in body


def test_policy_speaks_before_the_value(plain_ssec, fake):
    # As S3 does: a wrong algorithm that the policy does not allow is a 403.
    answer = answer_of(plain_ssec.address, f"{P}: AES192", target="/aes256/k")
    assert_refused(answer, 403, closes=True)
    assert fake.seen == []


def test_sse_c_over_plain_http(gate, fake):
    answer = answer_of(gate.address, *SSE_C)
    assert_refused(answer, 400, "InvalidRequest", closes=True)
    assert "secure connection" in answer.xml()["Message"]
    assert fake.seen == []


def test_sse_c_read_over_plain_http(gate, fake):
    answer = answer_of(gate.address, *SSE_C, method="GET", length=None)
    assert_refused(answer, 400, "InvalidRequest", closes=False)
    assert fake.seen == []


def test_sse_c_of_a_copy_source_over_plain_http(gate, fake):
    lines = [line.replace(P, f"x-amz-copy-source-{P[6:]}") for line in SSE_C]
    answer = answer_of(gate.address, *lines, "x-amz-copy-source: /open/s", length=None)
    assert_refused(answer, 400, "InvalidRequest", closes=False)
    assert fake.seen == []


def test_sse_c_where_it_is_allowed(plain_ssec, fake):
    with Wire(plain_ssec.address) as wire:
        wire.request("PUT", "/locked/k", *SSE_C, body=b"x")
        assert wire.answer().status == 200
    assert fake.last()[f"{P}-customer-key"] == KEY


@pytest.mark.parametrize("lines", [
    [KMS], [KMS, f"{P}-aws-kms-key-id: alias/x"], [f"{P}: aws:kms:dsse"], [KMS, f"{P}-bucket-key-enabled: true"],
    [KMS, f"{P}-context: {base64.b64encode(b'{}').decode()}"],
])
def test_kms_over_plain_http_is_taken(wire, fake, lines):
    wire.request("PUT", "/locked/k", *lines, body=b"x")
    assert wire.answer().status == 200


@pytest.mark.parametrize(("method", "target"), [("GET", "/open/k"), ("HEAD", "/open/k"), ("POST", "/open/k?uploadId=u")])
def test_sse_where_it_cannot_be(gate, fake, method, target):
    answer = answer_of(gate.address, SSE, method=method, target=target, length=None)
    assert answer.status == 400
    if method != "HEAD":
        assert answer.code == "InvalidArgument"
    assert fake.seen == []


# Presigned


V4 = ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z"
      "&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00")
V2 = "AWSAccessKeyId=AK&Expires=1900000000&Signature=00"


@pytest.mark.parametrize("signature", [V4, V2], ids=["v4", "v2"])
@pytest.mark.parametrize("name", [P, "X-Amz-Server-Side-Encryption", "x-amz-server-side%2Dencryption"])
def test_presigned_sse_in_the_query_counts(wire, fake, signature, name):
    target = f"/locked/k?{name}=AES256&{signature}"
    wire.request("PUT", target, body=b"x")
    assert wire.answer().status == 200
    assert fake.last().target == target


@pytest.mark.parametrize("signature", [V4, V2], ids=["v4", "v2"])
def test_presigned_without_sse_is_denied(gate, fake, signature):
    assert_refused(answer_of(gate.address, target=f"/locked/k?{signature}"), closes=True)
    assert fake.seen == []


@pytest.mark.parametrize("signature", [V4, V2], ids=["v4", "v2"])
def test_presigned_with_sse_in_a_header_counts(wire, fake, signature):
    wire.request("PUT", f"/locked/k?{signature}", SSE, body=b"x")
    assert wire.answer().status == 200


@pytest.mark.parametrize("bucket", ["locked", "open"])
@pytest.mark.parametrize("query", [f"{P}=AES256", f"{P}=AES256&X-Amz-Expires=60", f"{P}-customer-algorithm=AES256",
                                   f"X-Amz-Server-Side-Encryption-Customer-Key-MD5={MD5}", f"{P}=", P])
def test_query_without_a_signature_does_not_count(gate, fake, bucket, query):
    """S3 does not look at it, Ceph RGW does as it says: it is refused."""
    assert_refused(answer_of(gate.address, target=f"/{bucket}/k?{query}"), 400, "InvalidArgument", closes=True)
    assert fake.seen == []


@pytest.mark.parametrize("query", [f"{P}=", P, f"{P}=aws%3Akms", "X-Amz-Server-Side-Encryptio%6E=aws%3Akms", f"{P}-customer-algorithm=AES256"])
@pytest.mark.parametrize("bucket", ["locked", "open"])
def test_query_without_a_signature_that_contradicts_a_header(gate, fake, bucket, query):
    """To Ceph RGW the query goes before the header."""
    assert_refused(answer_of(gate.address, SSE, target=f"/{bucket}/k?{query}"), 400, "InvalidArgument", closes=True)
    assert fake.seen == []


def test_query_without_a_signature_that_says_the_same_as_the_header(wire, fake):
    wire.request("PUT", f"/locked/k?{P}=AES256", SSE, body=b"x")
    assert wire.answer().status == 200


def test_query_that_contradicts_a_header(gate, fake):
    answer = answer_of(gate.address, KMS, target=f"/locked/k?{P}=AES256&{V4}")
    assert answer.status == 400, answer
    answer = answer_of(gate.address, SSE, target=f"/kms/k?{P}=aws%3Akms&{V4}")
    assert answer.status in (400, 403), answer
    assert fake.seen == []


def test_query_that_says_the_same_as_the_header(wire, fake):
    wire.request("PUT", f"/locked/k?{P}=AES256&{V4}", SSE, body=b"x")
    assert wire.answer().status == 200


def test_query_that_says_it_twice(gate, fake):
    answer = answer_of(gate.address, target=f"/locked/k?{P}=AES256&{P}=aws%3Akms&{V4}")
    assert answer.status == 400, answer
    assert fake.seen == []


def test_presigned_query_is_validated(gate, fake):
    assert_refused(answer_of(gate.address, target=f"/open/k?{P}=AES192&{V4}"), 400, "InvalidArgument", closes=True)
    assert fake.seen == []


def test_presigned_copy_source_counts(gate, fake):
    answer = answer_of(gate.address, target=f"/open/k?x-amz-copy-source=%2Fsource%2Fsecret%2Fk&{V4}", length=None)
    assert answer.status in (400, 403), answer
    assert fake.seen == []


def test_a_customers_key_beside_a_rename(gates, fake):
    """versitygw takes it for a PutObject, and the key for nothing."""
    proxy = gates("plain-http", rules=[{"bucket": "*", "require": "any"}], sse_c_over_http="allow")
    key = bytes(range(32))
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k?renameObject", "x-amz-rename-source: /b/other", "x-amz-server-side-encryption-customer-algorithm: AES256",
                     f"x-amz-server-side-encryption-customer-key: {base64.b64encode(key).decode()}",
                     f"x-amz-server-side-encryption-customer-key-MD5: {base64.b64encode(hashlib.md5(key).digest()).decode()}", body=b"x")
        answer = wire.final("PUT")[1]
    assert answer.status in (400, 403) and not fake.seen
