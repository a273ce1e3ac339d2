"""What is written down of each request, what is counted, and what never appears anywhere."""

import base64
import datetime
import hashlib
import json
import re
import signal
import time

import pytest

from harness.commands import run
from harness.fakestore import respond
from harness.process import wait_until
from harness.rules import EXPECT, SSE
from harness.tools import tool
from harness.wire import Wire, assert_refused

NAMES = {
    "time", "request_id", "operation", "bucket", "key", "method", "status", "code", "decision", "policy", "sid", "condition", "rule",
    "principal", "verified", "source_ip", "tls", "user_agent", "sse_requested", "sse_confirmed", "sse_injected", "sealed", "bytes_in",
    "bytes_out", "bytes_refused", "duration_us", "store_us", "start", "seq", "unclean", "store_request_id",
}


def one(gate, method: str, target: str, *lines: str, body: bytes | None = None, length: int | None = None) -> tuple:
    """Sends a request; its answer and its audit line."""
    with Wire(gate.address) as wire:
        wire.request(method, target, *lines, body=body, length=length)
        _, answer = wire.final(method)
    return answer, gate.audit_of(answer["x-amz-request-id"])


def test_line_of_a_denial(gate, fake):
    answer, line = one(gate, "PUT", "/documented/a%20b/%C3%BC?x=1", EXPECT, "User-Agent: Test/1", length=1000)
    assert line.keys() >= NAMES, NAMES - line.keys()
    assert datetime.datetime.fromisoformat(line["time"]).tzinfo
    assert (line["operation"], line["bucket"], line["key"], line["method"]) == ("PutObject", "documented", "a b/ü", "PUT")
    assert (line["status"], line["code"], line["decision"]) == (403, "AccessDenied", "deny")
    assert line["sid"] == "DenyUnencryptedObjectUploads"
    assert line["condition"] and "x-amz-server-side-encryption" in json.dumps(line["condition"])
    assert line["policy"] and line["rule"] is not None
    assert line["source_ip"] == "127.0.0.1"
    assert line["tls"] is None and line["user_agent"] == "Test/1"
    assert line["verified"] in (False, None)
    assert line["sse_requested"] is None and line["store_request_id"] is None
    assert line["bytes_in"] == 0
    assert line["bytes_refused"] == 1000
    assert line["bytes_out"] >= len(answer.body)
    assert line["duration_us"] > 0
    assert line["store_us"] in (None, 0)


def test_line_of_a_write(gate, fake):
    answer, line = one(gate, "PUT", "/locked/k", SSE, body=b"x" * 1234)
    assert (line["operation"], line["status"], line["decision"], line["code"]) == ("PutObject", 200, "allow", None)
    assert (line["sse_requested"], line["sse_confirmed"], line["bytes_in"]) == ("AES256", "AES256", 1234)
    assert line["store_request_id"].startswith("STORE")
    assert line["store_us"] > 0 and line["duration_us"] >= line["store_us"]


def test_line_of_a_read(gate, fake):
    _, line = one(gate, "GET", "/open/k")
    assert (line["operation"], line["status"], line["decision"], line["bytes_out"]) == ("GetObject", 200, "allow", 6)


def test_line_of_the_store_s_own_error(gate, fake):
    from harness import fakestore

    fake.behave = fakestore.early("404 Not Found", "NoSuchKey", True)
    _, line = one(gate, "GET", "/open/k")
    assert (line["status"], line["decision"]) == (404, "allow")


def test_line_of_a_report(gate, fake):
    answer, line = one(gate, "PUT", "/reported/k", body=b"x")
    assert answer.status == 200
    assert (line["decision"], line["status"]) == ("report", 200)
    assert line["condition"]


def test_line_of_what_is_no_http(gate, fake):
    gate.mark()
    with Wire(gate.address) as wire:
        wire.send("GET /open/k HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n")
        assert wire.answer("GET").status == 400


def test_line_of_a_method_without_an_end(gate, fake):
    """One request must not push many others' lines out of a file that is rotated by size."""
    gate.mark()
    with Wire(gate.address) as wire:
        wire.send(b"A" * 60_000 + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert wire.answer().status == 405
    assert gate.audit_new()[0]["method"] == "A" * 32


def test_line_of_a_claimed_caller(gates, fake):
    gate = gates("clients", clients=[{"access_key": "AKCLIENT", "secret_key": "s" * 20, "principal": "arn:aws:iam::111122223333:user/app"}])
    sign = ("Authorization: AWS4-HMAC-SHA256 Credential=AKCLIENT/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, "
            "Signature=" + "0" * 64)
    _, line = one(gate, "GET", "/open/k", sign, "x-amz-date: 20260101T000000Z")
    assert line["principal"] == "arn:aws:iam::111122223333:user/app"


@pytest.mark.parametrize(("method", "target", "operation"), [
    ("GET", "/", "ListBuckets"), ("GET", "/open", "ListObjects"), ("GET", "/open?list-type=2", "ListObjectsV2"),
    ("HEAD", "/open/k", "HeadObject"), ("DELETE", "/open/k", "DeleteObject"), ("POST", "/open/k?uploads", "CreateMultipartUpload"),
    ("PUT", "/open/k?partNumber=1&uploadId=u", "UploadPart"), ("GET", "/open/k?tagging", "GetObjectTagging"),
    ("PUT", "/open/k?acl", "PutObjectAcl"), ("GET", "/open?location", "GetBucketLocation"), ("GET", "/open?versions", "ListObjectVersions"),
    ("GET", "/open/k?attributes", "GetObjectAttributes"), ("GET", "/open/k?uploadId=u", "ListParts"), ("GET", "/open?uploads", "ListMultipartUploads"),
    ("DELETE", "/open/k?uploadId=u", "AbortMultipartUpload"), ("PUT", "/open", "CreateBucket"), ("DELETE", "/open", "DeleteBucket"),
])
def test_operations_are_named(gate, fake, method, target, operation):
    _, line = one(gate, method, target)
    assert line["operation"] == operation


def test_copy_is_named(gate, fake):
    _, line = one(gate, "PUT", "/open/k", "x-amz-copy-source: /open/s")
    assert line["operation"] == "CopyObject"
    _, line = one(gate, "PUT", "/open/k?partNumber=1&uploadId=u", "x-amz-copy-source: /open/s")
    assert line["operation"] == "UploadPartCopy"


def test_lines_are_numbered(gate, fake):
    for _ in range(5):
        one(gate, "GET", "/open/k")
    lines = gate.audit()
    assert [e["seq"] for e in lines] == list(range(1, len(lines) + 1))
    assert len({e["start"] for e in lines}) == 1


def test_answered_write_is_in_the_file(gate, fake):
    for number in range(50):
        with Wire(gate.address) as wire:
            wire.request("PUT", f"/locked/in-file-{number}", SSE, body=b"x")
            answer = wire.answer()
            assert answer.status == 200
            assert answer["x-amz-request-id"] in gate.audit_file.read_text(), "the answer came before its line"


def test_keys_that_are_no_text(gate, fake):
    for target in ("/open/%FF%FE", "/open/a%0Ab", "/open/%00", "/open/%22%5C"):
        with Wire(gate.address) as wire:
            wire.request("GET", target)
            answer = wire.answer("GET")
            assert answer.status in (200, 400)
    for line in gate.audit_file.read_text().splitlines():
        json.loads(line)


SECRETS = {
    "signature": "5167a7c8e9f00112233445566778899aabbccddeeff00112233445566778899a",
    "ssec": base64.b64encode(b"K" * 32).decode(),
    "presigned": "deadbeefdeadbeefdeadbeefdeadbeef",
    "v2": "c2lnbmF0dXJlLXYyLXNlY3JldA",
    "token": "SESSIONTOKENSECRET",
    "context": base64.b64encode(b'{"secret":"CONTEXT"}').decode(),
}


def test_secrets_appear_nowhere(gates, fake):
    gate = gates("secrets", sse_c_over_http="allow", audit={"stdout": True, "file": "audit.jsonl"},
                 clients=[{"access_key": "AK", "secret_key": "CLIENTSECRETKEY12345", "principal": "arn:aws:iam::111122223333:user/app"}])
    md5 = base64.b64encode(hashlib.md5(b"K" * 32).digest()).decode()
    authorization = ("Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
                     f"Signature={SECRETS['signature']}")
    ssec = ["x-amz-server-side-encryption-customer-algorithm: AES256",
            f"x-amz-server-side-encryption-customer-key: {SECRETS['ssec']}",
            f"x-amz-server-side-encryption-customer-key-MD5: {md5}"]
    query = ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z"
             f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token={SECRETS['token']}&X-Amz-Signature={SECRETS['presigned']}")
    for bucket in ("open", "locked", "unruled"):
        one(gate, "PUT", f"/{bucket}/k", authorization, *ssec, body=b"x")
        one(gate, "PUT", f"/{bucket}/k", authorization, *ssec[:2], body=b"abc")
        one(gate, "PUT", f"/{bucket}/k", authorization, f"x-amz-security-token: {SECRETS['token']}", body=b"abc")
        one(gate, "PUT", f"/{bucket}/k?{query}", body=b"x")
        one(gate, "GET", f"/{bucket}/k?AWSAccessKeyId=AK&Expires=1&Signature={SECRETS['v2']}")
        one(gate, "PUT", f"/{bucket}/k", "x-amz-server-side-encryption: aws:kms",
            f"x-amz-server-side-encryption-context: {SECRETS['context']}", body=b"x")
    with Wire(gate.address) as wire:
        wire.send(f"GET /open/k?{query} HTTP/1.1\r\nHost: x\r\n{authorization}\r\nX : y\r\n\r\n")
        wire.answer("GET")
    written = gate.audit_file.read_text() + gate.process.output() + gate.admin("/metrics")[1] + gate.admin("/config")[1]
    for name, secret in [*SECRETS.items(), ("client", "CLIENTSECRETKEY12345")]:
        assert secret not in written, name


def test_stdout_has_the_same_lines(gates, fake):
    gate = gates("secrets")
    _, line = one(gate, "GET", "/open/stdout")

    def lines() -> list[dict]:
        text = gate.process.output()
        return [json.loads(each) for each in text[: text.rfind("\n") + 1].splitlines() if each.startswith("{")]

    # The file has it first.
    wait_until("the line", lambda: line in lines(), 5)


# Counted


def test_requests_are_counted(gate, fake):
    before = gate.metric("sealgate_requests_total", operation="PutObject", decision="deny")
    denied = gate.metric("sealgate_denied_total", operation="PutObject")
    bytes_refused = gate.metric("sealgate_refused_body_bytes_total")
    one(gate, "PUT", "/locked/k", EXPECT, length=4321)
    assert gate.metric("sealgate_requests_total", operation="PutObject", decision="deny") == before + 1
    assert gate.metric("sealgate_denied_total", operation="PutObject") == denied + 1
    assert gate.metric("sealgate_refused_body_bytes_total") == bytes_refused + 4321


def test_encryption_of_writes_is_counted(gate, fake):
    client, none = (gate.metric("sealgate_put_encryption_total", how=how) for how in ("client", "none"))
    one(gate, "PUT", "/locked/k", SSE, body=b"x")
    one(gate, "PUT", "/open/k", body=b"x")
    assert gate.metric("sealgate_put_encryption_total", how="client") == client + 1
    assert gate.metric("sealgate_put_encryption_total", how="none") == none + 1
    # A form is answered with a redirect where it asks for one.
    def redirects(link, seen):
        link.read_body(seen)
        respond(link, "303 See Other", "Location: http://h/", seen=seen)

    fake.behave = redirects
    form = ('--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
            '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nz\r\n--x--\r\n')
    answer, _ = one(gate, "POST", "/open", "Content-Type: multipart/form-data; boundary=x", body=form.encode())
    assert answer.status == 303
    assert gate.metric("sealgate_put_encryption_total", how="none") == none + 2


def test_metrics_have_their_names(gate, fake):
    one(gate, "PUT", "/locked/k", SSE, body=b"x")
    one(gate, "PUT", "/locked/k", EXPECT, length=1)
    names = {re.split(r"[{ ]", key)[0] for key in gate.metrics()}
    for name in ("sealgate_requests_total", "sealgate_denied_total", "sealgate_refused_body_bytes_total",
                 "sealgate_put_encryption_total", "sealgate_request_duration_seconds_count", "sealgate_store_duration_seconds_count"):
        assert name in names, name


def test_labels_come_from_closed_sets(gate, fake):
    one(gate, "GET", "/open/a-very-particular-key")
    one(gate, "GET", "/particular-bucket-without-rule/k")
    text = gate.admin("/metrics")[1]
    assert "particular" not in text


def test_promtool_finds_nothing(gate, fake):
    one(gate, "PUT", "/locked/k", SSE, body=b"x")
    one(gate, "PUT", "/locked/k", EXPECT, length=1)
    done = run([tool("promtool"), "check", "metrics"], stdin=gate.admin("/metrics")[1].encode())
    assert done.code == 0 and not done.out.strip() and not done.err.strip(), done


# Health


def test_health(gate):
    assert gate.admin("/healthz")[0] == 200
    assert gate.admin("/readyz")[0] == 200
    assert gate.admin("/nothing")[0] == 404


def test_admin_is_not_on_the_data_port(gate, wire, fake):
    wire.request("GET", "/metrics")
    assert_refused(wire.answer("GET"))
    wire.request("GET", "/healthz")
    assert wire.answer("GET").status == 403
    assert fake.seen == []


def test_stops_in_order(scratch, fake):
    from harness.sealgate import Sealgate

    gate = Sealgate(scratch / "stopped", fake.endpoint, [{"bucket": "open"}], shutdown={"drain": "5s"}).start()
    with Wire(gate.address) as wire:
        wire.request("PUT", "/open/k", length=10)
        wire.send(b"hello")
        wait_until("the upload", lambda: gate.metric("sealgate_requests_active") == 1, 5)
        gate.process.signal(signal.SIGTERM)
        time.sleep(0.5)
        wire.send(b"world")
        assert wire.answer().status == 200, "a request under way is finished"
    assert gate.process.wait(15) == 0
    assert [(e["status"], e["unclean"]) for e in gate.audit()] == [(200, False)]


def test_trace_passes_on_and_is_written_down(gate, fake):
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer, line = one(gate, "GET", "/open/k", f"traceparent: 00-{trace}-b7ad6b7169203331-01", "tracestate: a=b")
    assert answer.status == 200 and line["trace_id"] == trace
    assert fake.last()["traceparent"] == f"00-{trace}-b7ad6b7169203331-01" and fake.last()["tracestate"] == "a=b"
    _, line = one(gate, "GET", "/open/k", "traceparent: AKIASECRET")
    assert "trace_id" not in line


def test_labels_stay_few_under_random_names(gate, fake):
    """Keys, buckets, user agents and access keys of every kind add no series."""
    one(gate, "GET", "/open/k")
    one(gate, "PUT", "/locked/k", length=0)
    before = {name for name in gate.metrics()}
    with Wire(gate.address) as wire:
        for i in range(300):
            wire.request(["GET", "PUT"][i % 2], f"/{['open', 'locked', f'other-{i}'][i % 3]}/{i}%FF", f"User-Agent: {i}/x", f"x-amz-request-payer: {i}",
                         f"Authorization: AWS4-HMAC-SHA256 Credential=AK{i}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
                         **({} if i % 2 == 0 else {"length": 0}))
            wire.final(["GET", "PUT"][i % 2])
    assert len(set(gate.metrics()) - before) < 12, set(gate.metrics()) - before
