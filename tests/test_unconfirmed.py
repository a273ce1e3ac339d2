"""The store is held to its word: a write that had to be encrypted is a success only once the store confirms it."""

import base64
import http.client
import itertools
import re
import socket
import struct
import time

import pytest
from botocore.exceptions import ClientError

from harness.boto import client
from harness.commands import Aws
from harness.fakestore import has_body, honest, respond
from harness.h2wire import H2
from harness.process import wait_until
from harness.sealgate import Sealgate
from harness.wire import Wire

_number = itertools.count(1)
BODY = b"secret content " * 1000
PART = b"p" * (5 << 20)
RULES = [
    {"bucket": "fail-*", "require": "any"},
    {"bucket": "delete-*", "require": "any", "unconfirmed": "delete"},
    {"bucket": "report-*", "require": "any", "unconfirmed": "report"},
    {"bucket": "open-*"},
]
KINDS = [{"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "main"}]


class Bench:
    """Sealgate in front of one store, with its credentials or without, and one bucket for each habit."""

    def __init__(self, store, gate: Sealgate):
        self.store, self.gate = store, gate
        self.direct = client(store.endpoint, store)
        self.s3 = client(gate.endpoint, store)
        number = next(_number)
        self.buckets = {habit: f"{habit}-{number}" for habit in ("fail", "delete", "report", "open")}
        for bucket in self.buckets.values():
            self.direct.create_bucket(Bucket=bucket)

    def unconfirmed(self) -> float:
        return self.gate.metric("sealgate_store_unconfirmed_total")

    def holds(self, bucket: str) -> list[str]:
        return [o["Key"] for o in self.direct.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def line(self, answer: dict | ClientError) -> dict:
        answer = answer.response if isinstance(answer, ClientError) else answer
        # versitygw sends the header twice.
        return self.gate.audit_of(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"].split(",")[0])


@pytest.fixture(scope="module")
def benches(scratch, stores):
    running = {}

    def start(name: str, credentials: bool = True) -> Bench:
        if (name, credentials) not in running:
            store = stores(name)
            gate = Sealgate(scratch / f"unconfirmed-{name}-{credentials}", store.endpoint, RULES, sse_c_over_http="allow")
            if credentials:
                gate.config["store"]["credentials"] = {"access_key": store.access_key, "secret_key": store.secret_key}
            running[name, credentials] = Bench(store, gate.start())
        return running[name, credentials]

    yield start
    for bench in running.values():
        bench.gate.stop()


def refused(call, **params) -> ClientError:
    with pytest.raises(ClientError) as error:
        call(**params)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    return error.value


PLAINTEXT = pytest.mark.parametrize("name", ["garage", "versitygw"])


@PLAINTEXT
@pytest.mark.parametrize("sse", KINDS, ids=["s3", "kms"])
def test_a_store_that_stores_plaintext_is_no_success(benches, name, sse):
    bench = benches(name)
    before = bench.unconfirmed()
    error = refused(bench.s3.put_object, Bucket=bench.buckets["fail"], Key="k", Body=BODY, **sse)
    message = error.response["Error"]["Message"]
    assert "did not confirm" in message and "operator" in message
    line = bench.line(error)
    assert (line["status"], line["code"], line["decision"]) == (501, "NotImplemented", "error")
    assert (line["sse_requested"], line["sse_confirmed"]) == (sse["ServerSideEncryption"], None)
    assert line["bytes_in"] == len(BODY) and "left there" in line["error"]
    assert bench.unconfirmed() == before + 1
    assert bench.holds(bench.buckets["fail"]) == ["k"]


def test_what_was_not_encrypted_is_deleted_where_that_hits_nothing_else(benches):
    # versitygw honours If-Match on DELETE. Garage does not; it names versions, and deletes whatever stands there.
    bench = benches("versitygw")
    error = refused(bench.s3.put_object, Bucket=bench.buckets["delete"], Key="k", Body=BODY, **KINDS[0])
    assert bench.holds(bench.buckets["delete"]) == []
    assert "is deleted" in bench.line(error)["error"]

    bench = benches("garage")
    error = refused(bench.s3.put_object, Bucket=bench.buckets["delete"], Key="k", Body=BODY, **KINDS[0])
    assert bench.holds(bench.buckets["delete"]) == ["k"]
    assert "If-Match" in bench.line(error)["error"]


def test_the_version_that_was_written_is_deleted_and_no_other(benches):
    bench = benches("versitygw")
    bucket = bench.buckets["delete"]
    bench.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = bench.direct.put_object(Bucket=bucket, Key="versions", Body=b"kept")["VersionId"]
    refused(bench.s3.put_object, Bucket=bucket, Key="versions", Body=BODY, **KINDS[0])
    versions = bench.direct.list_object_versions(Bucket=bucket, Prefix="versions")
    assert [v["VersionId"] for v in versions["Versions"]] == [kept]
    assert not versions.get("DeleteMarkers")


@pytest.mark.parametrize("versioned", [False, True], ids=["unversioned", "versioned"])
def test_a_copy_onto_itself_names_what_stood_there_before(benches, versioned):
    bench = benches("versitygw")
    bucket = bench.buckets["delete"] if not versioned else f"delete-c{next(_number)}"
    if versioned:
        bench.direct.create_bucket(Bucket=bucket)
        bench.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bench.direct.put_object(Bucket=bucket, Key="precious", Body=b"the only one")
    source = {"Bucket": bucket, "Key": "precious"}
    error = refused(bench.s3.copy_object, Bucket=bucket, Key="precious", CopySource=source, MetadataDirective="REPLACE", **KINDS[0])
    assert "stood there before" in bench.line(error)["error"]
    assert bench.direct.get_object(Bucket=bucket, Key="precious")["Body"].read() == b"the only one"


def test_a_version_is_not_overwritten(benches):
    bench = benches("minio-kms")
    bucket = f"delete-w{next(_number)}"
    bench.direct.create_bucket(Bucket=bucket)
    bench.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = bench.direct.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]

    def in_query(request, **_):
        request.params["versionId"] = kept

    s3 = client(bench.gate.endpoint, bench.store)
    s3.meta.events.register("before-sign.s3.PutObject", in_query)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, **KINDS[0])
    assert error.value.response["Error"]["Code"] == "InvalidArgument"
    assert bench.direct.get_object(Bucket=bucket, Key="k", VersionId=kept)["Body"].read() == b"kept"


def test_an_upload_asked_for_in_a_query_is_not_tried_out_in_headers(benches):
    """MinIO reads SSE in headers alone, so an upload of Sealgate's own would say nothing about this one."""
    bench = benches("minio-kms")
    bucket = bench.buckets["fail"]
    s3 = client(bench.gate.endpoint, bench.store)

    def in_query(request, **_):
        request.params["x-amz-server-side-encryption"] = "AES256"

    s3.meta.events.register("before-sign.s3.CreateMultipartUpload", in_query)
    url = s3.generate_presigned_url("create_multipart_upload", {"Bucket": bucket, "Key": "query"}).removeprefix(bench.gate.endpoint)
    link = http.client.HTTPConnection(bench.gate.address, timeout=30)
    link.request("POST", url)
    answer = link.getresponse()
    assert (answer.status, b"in the query" in answer.read()) == (501, True)
    assert not bench.direct.list_multipart_uploads(Bucket=bucket, Prefix="query").get("Uploads")


@PLAINTEXT
def test_reported_only(benches, name):
    bench = benches(name)
    before = bench.unconfirmed()
    answer = bench.s3.put_object(Bucket=bench.buckets["report"], Key="k", Body=BODY, **KINDS[0])
    line = bench.line(answer)
    assert (line["status"], line["decision"], line["sse_confirmed"], line["code"]) == (200, "allow", None, None)
    assert line["reason"] == "unconfirmed" and "did not confirm" in line["error"]
    assert bench.unconfirmed() == before + 1
    # Where nothing is demanded, nothing must be confirmed.
    bench.s3.put_object(Bucket=bench.buckets["open"], Key="k", Body=BODY, **KINDS[0])
    assert bench.unconfirmed() == before + 1


@PLAINTEXT
@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("habit", ["fail", "delete"])
def test_uploads_end_before_they_begin(benches, name, credentials, habit):
    bench = benches(name, credentials)
    bucket = bench.buckets[habit]
    refused(bench.s3.create_multipart_upload, Bucket=bucket, Key="m", **KINDS[0])
    left = bench.direct.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    # An upload is no object yet: it is aborted in either habit.
    assert len(left) == (0 if credentials else 1), left


@PLAINTEXT
def test_steps_of_an_upload_made_elsewhere(benches, name):
    bench = benches(name)
    bucket = bench.buckets["fail"]
    upload = bench.direct.create_multipart_upload(Bucket=bucket, Key="steps")["UploadId"]
    refused(bench.s3.upload_part, Bucket=bucket, Key="steps", UploadId=upload, PartNumber=1, Body=b"x")
    part = bench.direct.upload_part(Bucket=bucket, Key="steps", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    refused(bench.s3.complete_multipart_upload, Bucket=bucket, Key="steps", UploadId=upload, MultipartUpload=parts)


@PLAINTEXT
def test_copies_and_forms(benches, name):
    bench = benches(name)
    bucket = bench.buckets["fail"]
    bench.direct.put_object(Bucket=bench.buckets["open"], Key="source", Body=BODY)
    source = {"Bucket": bench.buckets["open"], "Key": "source"}
    error = refused(bench.s3.copy_object, Bucket=bucket, Key="copy", CopySource=source, **KINDS[0])
    assert "HEAD" in bench.line(error)["error"]
    status, body = post_form(bench, bucket, "form")
    assert status == 501 and b"did not confirm" in body


def post_form(bench: Bench, bucket: str, key: str, sse: dict | None = None, **more) -> tuple[int, bytes]:
    fields = {"x-amz-server-side-encryption": "AES256", **(sse or {}), **more}
    conditions = [{name: value} for name, value in fields.items()]
    post = bench.s3.generate_presigned_post(bucket, key, Fields=dict(fields), Conditions=conditions)
    boundary = "x" * 20
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in post["fields"].items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    body = "".join(parts).encode() + BODY + f"\r\n--{boundary}--\r\n".encode()
    link = http.client.HTTPConnection(bench.gate.address, timeout=30)
    link.request("POST", f"/{bucket}", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    answer = link.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("sse", KINDS, ids=["s3", "kms"])
def test_a_store_that_encrypts_is_believed(benches, sse):
    """MinIO leaves the echo out on copies, uploads and forms: Sealgate looks by itself."""
    bench = benches("minio-kms")
    before = bench.unconfirmed()
    bucket, s3 = bench.buckets["fail"], bench.s3
    kind = sse["ServerSideEncryption"]

    def confirmed(answer, wanted=kind):
        line = bench.line(answer)
        assert (line["decision"], line["sse_confirmed"]) == ("allow", wanted), line

    confirmed(s3.put_object(Bucket=bucket, Key="put", Body=BODY, **sse))
    confirmed(s3.copy_object(Bucket=bucket, Key="copy/ä b+%", CopySource={"Bucket": bucket, "Key": "put"}, **sse))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="multi", **sse)
    confirmed(upload)
    names = {"Bucket": bucket, "Key": "multi", "UploadId": upload["UploadId"]}
    first = s3.upload_part(PartNumber=1, Body=PART, **names)
    confirmed(first)
    second = s3.upload_part_copy(PartNumber=2, CopySource={"Bucket": bucket, "Key": "put"}, **names)
    confirmed(second, None)
    parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": second["CopyPartResult"]["ETag"]}]
    confirmed(s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **names))
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == PART + BODY
    fields = {"x-amz-server-side-encryption": kind}
    if "SSEKMSKeyId" in sse:
        fields["x-amz-server-side-encryption-aws-kms-key-id"] = sse["SSEKMSKeyId"]
    for more in ({}, {"success_action_status": "201"}, {"success_action_redirect": "http://127.0.0.1/done"}):
        status, body = post_form(bench, bucket, "form", fields, **more)
        assert status in (201, 204, 303), body
    assert bench.direct.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert bench.unconfirmed() == before


def test_a_customers_key_is_confirmed_by_its_md5(benches):
    """Garage encrypts under SSE-C, versitygw takes the key and stores plaintext."""
    sse = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    bench = benches("versitygw")
    error = refused(bench.s3.put_object, Bucket=bench.buckets["delete"], Key="c", Body=BODY, **sse)
    assert bench.line(error)["sse_requested"] == "sse-c"
    assert "c" not in bench.holds(bench.buckets["delete"])

    bench = benches("garage")
    bucket, s3 = bench.buckets["fail"], bench.s3
    assert bench.line(s3.put_object(Bucket=bucket, Key="c", Body=BODY, **sse))["sse_confirmed"] == "sse-c"
    source = {"CopySource": {"Bucket": bucket, "Key": "c"}, **{f"CopySource{name}": value for name, value in sse.items()}}
    assert bench.line(s3.copy_object(Bucket=bucket, Key="copy", **source, **sse))["sse_confirmed"] == "sse-c"
    names = {"Bucket": bucket, "Key": "multi"}
    upload = s3.create_multipart_upload(**names, **sse)
    assert bench.line(upload)["sse_confirmed"] == "sse-c"
    names["UploadId"] = upload["UploadId"]
    part = s3.upload_part(PartNumber=1, Body=PART, **names, **sse)
    assert bench.line(part)["sse_confirmed"] == "sse-c"
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(MultipartUpload=parts, **names, **sse)
    assert bench.line(done)["sse_confirmed"] == "sse-c"
    shown = bench.gate.audit_file.read_text() + bench.gate.process.output()
    assert base64.b64encode(bytes(range(32))).decode() not in shown


def test_versions_are_looked_at_by_their_id(benches):
    bench = benches("minio-kms")
    bucket = bench.buckets["delete"]
    bench.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bench.s3.put_object(Bucket=bucket, Key="k", Body=BODY, **KINDS[0])
    copied = bench.s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"}, **KINDS[1])
    line = bench.line(copied)
    assert line["sse_confirmed"] == "aws:kms"


def test_encryption_asked_for_in_a_query_that_the_store_does_not_read(benches):
    """MinIO reads SSE in headers alone. It ignores If-Match on DELETE, so the object stays, unless it has versions."""
    bench = benches("minio-kms")
    s3 = client(bench.gate.endpoint, bench.store)

    def in_query(request, **_):
        request.params["x-amz-server-side-encryption"] = "AES256"

    s3.meta.events.register("before-sign.s3.PutObject", in_query)

    def put(bucket: str) -> dict:
        url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "query"}).removeprefix(bench.gate.endpoint)
        assert "x-amz-server-side-encryption=AES256" in url
        link = http.client.HTTPConnection(bench.gate.address, timeout=30)
        link.request("PUT", url, BODY)
        answer = link.getresponse()
        assert (answer.status, b"<Code>NotImplemented</Code>" in answer.read()) == (501, True)
        return bench.gate.audit_of(answer.getheader("x-amz-request-id"))

    plain, versioned = f"delete-q{next(_number)}", f"delete-v{next(_number)}"
    for bucket in (plain, versioned):
        bench.direct.create_bucket(Bucket=bucket)
    assert "If-Match" in put(plain)["error"]
    assert bench.holds(plain) == ["query"]
    bench.direct.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Enabled"})
    kept = bench.direct.put_object(Bucket=versioned, Key="query", Body=b"kept")["VersionId"]
    assert "is deleted" in put(versioned)["error"]
    listed = bench.direct.list_object_versions(Bucket=versioned)
    assert [v["VersionId"] for v in listed["Versions"]] == [kept], "nothing else, no probe either"
    assert not listed.get("DeleteMarkers")


def test_without_credentials_only_the_answer_itself_counts(benches):
    bench = benches("minio-kms", False)
    bucket = bench.buckets["delete"]
    bench.s3.put_object(Bucket=bucket, Key="put", Body=BODY, **KINDS[0])
    error = refused(bench.s3.create_multipart_upload, Bucket=bucket, Key="m", **KINDS[0])
    assert "store.credentials" in error.response["Error"]["Message"]
    refused(bench.s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"}, **KINDS[0])
    assert "store.credentials" in bench.gate.process.output()


def test_aws_cli_uploads(benches, tmp_path):
    bench = benches("minio-kms")
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(256)) * (20 << 12))
    aws = Aws(bench.gate.endpoint, bench.store, tmp_path)
    aws("s3", "cp", "--sse", "AES256", big, f"s3://{bench.buckets['fail']}/big.bin").ok()
    head = bench.direct.head_object(Bucket=bench.buckets["fail"], Key="big.bin")
    assert head["ServerSideEncryption"] == "AES256" and head["ContentLength"] == 20 << 20


# With the scriptable store: what must not happen.

FAKE_RULES = [{"bucket": "locked", "require": "any", "unconfirmed": "delete"}, {"bucket": "source"},
              {"bucket": "reported", "require": "any", "unconfirmed": "report"}]
COPY = b"PUT /locked/k HTTP/1.1\r\nHost: h\r\nx-amz-server-side-encryption: AES256\r\nx-amz-copy-source: /source/k\r\n\r\n"
PUT = b"PUT /locked/k HTTP/1.1\r\nHost: h\r\nx-amz-server-side-encryption: AES256\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def fake_gate(scratch, _fake):
    limits = {"idle_timeout": "1s", "xml_bytes": "64KiB"}
    gate = Sealgate(scratch / "unconfirmed-fake", _fake.endpoint, FAKE_RULES, limits=limits)
    gate.config["store"]["credentials"] = {"access_key": "AK", "secret_key": "very-secret"}
    with gate:
        yield gate


def ask(gate: Sealgate, request: bytes):
    with Wire(gate.address) as wire:
        wire.send(request)
        return wire.answer(request.split(b" ")[0].decode())


class Scripted:
    """Answers Sealgate's own requests one way and the client's another."""

    def __init__(self, own, etag='"mine"', body=None, headers=()):
        self.own, self.etag, self.body, self.headers = own, etag, body, headers
        self.asked = []

    def __call__(self, link, seen):
        link.read_body(seen)
        if seen["user-agent"] == "sealgate":
            self.asked.append(seen)
            return self.own(link, seen)
        body = self.body
        if body is None:
            body = f"<CopyObjectResult><ETag>{self.etag}</ETag></CopyObjectResult>".encode() if seen["x-amz-copy-source"] else b""
        headers = list(self.headers) + ([f"ETag: {self.etag}"] if not body else [])
        return respond(link, "200 OK", *headers, body=body, seen=seen)


def head_says(etag: str, *headers: str):
    def own(link, seen):
        respond(link, "200 OK", f"ETag: {etag}", *headers, seen=seen)

    return own


class Versioned:
    """Keeps versions, and deletes the one it is told to."""

    def __init__(self):
        self.versions = {}

    def __call__(self, link, seen):
        key, _, version = seen.target.partition("?versionId=")
        versions = self.versions.get(key, [])
        if seen.method == "PUT":
            name = f"v{next(_number)}"
            self.versions[key] = [*versions, name]
            return respond(link, "200 OK", 'ETag: "x"', f"x-amz-version-id: {name}", seen=seen)
        if seen.method == "DELETE":
            self.versions[key] = [v for v in versions if v != version]
            if not self.versions[key]:
                del self.versions[key]
            return respond(link, "204 No Content", seen=seen)
        return respond(link, "200 OK" if versions else "404 Not Found", seen=seen)


AES = "x-amz-server-side-encryption: AES256"


def test_a_head_of_the_same_object_decides(fake_gate, fake):
    fake.behave = Scripted(head_says('"mine"', AES))
    answer = ask(fake_gate, COPY)
    assert answer.status == 200 and b"mine" in answer.body
    (seen,) = fake.behave.asked
    assert (seen.method, seen.target) == ("HEAD", "/locked/k")
    assert seen["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")


def test_what_another_has_written_since_confirms_nothing_and_is_not_deleted(fake_gate, fake):
    fake.behave = Scripted(head_says('"anothers"', AES))
    answer = ask(fake_gate, COPY)
    assert answer.status == 501 and b"somebody else" in answer.body
    keys = [(s.method, s.target) for s in fake.behave.asked]
    assert ("DELETE", "/locked/k") not in keys, keys


def test_an_answer_that_contradicts_is_no_confirmation(fake_gate, fake):
    fake.behave = Scripted(head_says('"mine"', AES), headers=["x-amz-server-side-encryption: aws:kms"])
    assert ask(fake_gate, PUT).status == 501


def test_a_version_is_deleted_by_its_id(fake_gate, fake):
    fake.behave = Scripted(Versioned(), headers=["x-amz-version-id: v+1"])
    assert ask(fake_gate, PUT).status == 501
    deleted = [s.target for s in fake.behave.asked if s.method == "DELETE" and s.target.startswith("/locked/k")]
    assert deleted == ["/locked/k?versionId=v%2B1"]
    # Shown first, and only once, on an object of Sealgate's own, of which nothing is left.
    assert fake.behave.own.versions == {}
    asked = len(fake.behave.asked)
    assert ask(fake_gate, PUT.replace(b"/k", b"/other")).status == 501
    assert len(fake.behave.asked) == asked + 1


def test_the_null_version_is_nobodys(fake_gate, fake):
    fake.behave = Scripted(head_says('"x"'), headers=["x-amz-version-id: null"])
    assert ask(fake_gate, PUT).status == 501
    targets = {s.target for s in fake.behave.asked}
    assert all(t.startswith("/locked/.sealgate-probe-") for t in targets), targets


def test_an_error_with_status_200_passes_as_it_is(fake_gate, fake):
    body = b"\n \n<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>"
    fake.behave = Scripted(head_says('"x"', AES), body=body)
    answer = ask(fake_gate, COPY)
    assert (answer.status, answer.body) == (200, body)
    assert [seen.method for seen in fake.behave.asked] == ["HEAD"]


def test_a_late_chunked_answer_passes_byte_for_byte(fake_gate, fake):
    xml = b"<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>&#34;mine-1&#34;</ETag></CompleteMultipartUploadResult>"
    chunks = [b" "] * 5 + [xml]

    def behave(link, seen):
        link.read_body(seen)
        if seen["user-agent"] == "sealgate":
            return respond(link, "200 OK", 'ETag: "mine-1"', AES, seen=seen)
        link.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-request-id: R\r\n\r\n")
        for chunk in chunks:
            link.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            time.sleep(0.05)
        link.send("0\r\n\r\n")

    fake.behave = behave
    answer = ask(fake_gate, b"POST /locked/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n<x/> ")
    assert (answer.status, answer.body) == (200, b"     " + xml)


def test_an_answer_that_ends_with_the_connection(fake_gate, fake):
    xml = b"<CopyObjectResult><ETag>mine</ETag></CopyObjectResult>"

    def behave(link, seen):
        link.read_body(seen)
        if seen["user-agent"] == "sealgate":
            return respond(link, "200 OK", 'ETag: "mine"', AES, seen=seen)
        link.send(b"HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\n\r\n" + xml)
        return False

    fake.behave = behave
    answer = ask(fake_gate, COPY)
    assert (answer.status, answer.body) == (200, xml)


def test_a_store_may_take_its_time_over_an_answer(fake_gate, fake):
    """The client's idle timeout is not the store's."""

    def behave(link, seen):
        link.read_body(seen)
        if seen["user-agent"] == "sealgate":
            return respond(link, "200 OK", 'ETag: "mine"', AES, seen=seen)
        xml = b"<CopyObjectResult><ETag>mine</ETag></CopyObjectResult>"
        link.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(xml)}\r\nx-amz-request-id: R\r\n\r\n<")
        time.sleep(2.5)
        link.send(xml[1:])

    fake.behave = behave
    assert ask(fake_gate, COPY).status == 200


LONG = b"<a>" + b" " * (80 << 10) + b"</a>"


def test_an_answer_that_is_too_long_to_hold_back(fake_gate, fake):
    fake.behave = Scripted(head_says('"mine"', AES), body=LONG)
    answer = ask(fake_gate, COPY)
    assert answer.status == 501 and b"xml_bytes" in answer.body


@pytest.mark.parametrize("chunked", [False, True])
def test_one_that_is_too_long_is_passed_on_where_it_is_only_reported(fake_gate, fake, chunked):
    def behave(link, seen):
        link.read_body(seen)
        if not chunked:
            return respond(link, "200 OK", body=LONG, seen=seen)
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-request-id: R\r\n\r\n")
        for start in range(0, len(LONG), 10_000):
            piece = LONG[start : start + 10_000]
            link.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        link.send(b"0\r\n\r\n")
        return True

    fake.behave = behave
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        for _ in range(2):
            wire.send(COPY.replace(b"/locked/", b"/reported/"))
            answer = wire.answer()
            assert (answer.status, answer.body) == (200, LONG)
    for line in fake_gate.audit_new(2):
        assert (line["decision"], line["reason"], line["sse_confirmed"]) == ("allow", "unconfirmed", None)
        assert "xml_bytes" in line["error"] and line["bytes_out"] == len(LONG)


def test_what_the_store_is_like_is_not_told_where_denials_are_plain(scratch, fake):
    gate = Sealgate(scratch / "unconfirmed-plain", fake.endpoint, FAKE_RULES, denial="plain")
    with gate:
        fake.behave = Scripted(head_says('"mine"'))
        answer = ask(gate, COPY)
        assert answer.status == 501
        assert answer.xml()["Message"] == "The store did not confirm that it encrypted this write, as is demanded here."
        line = gate.audit_new()[0]
        assert line["reason"] == "unconfirmed" and "store.credentials" in line["error"]


def test_a_document_cannot_write_headers(fake_gate, fake):
    body = b"<CopyObjectResult><ETag>a&#13;&#10;x-evil: 1</ETag></CopyObjectResult>"
    fake.behave = Scripted(head_says('"mine"'), body=body)
    assert ask(fake_gate, COPY).status == 501
    assert all(s["x-evil"] is None for s in fake.behave.asked)


def test_the_store_is_silent_or_gone_when_it_is_looked_at(fake_gate, fake):
    def gone(link, seen):
        return False

    fake.behave = Scripted(gone)
    answer = ask(fake_gate, COPY)
    assert answer.status == 501 and b"could not be looked at" in answer.body


class Plain:
    """Writes plaintext as soon as `reads` has what it wants, and names the version. Keeps versions for Sealgate's own requests."""

    def __init__(self, reads, own=None):
        self.reads, self.own = reads, own or Versioned()
        self.deleted, self.wrote = [], 0

    def __call__(self, link, seen):
        if seen["user-agent"] == "sealgate":
            link.read_body(seen)
            if seen.method == "DELETE" and "probe" not in seen.target:
                self.deleted.append(seen.target)
            return self.own(link, seen)
        self.reads(link, seen)
        self.wrote += 1
        time.sleep(0.2)
        respond(link, "200 OK", 'ETag: "mine"', "x-amz-version-id: v9", seen=seen)
        return False


def whole(link, seen):
    link.read_body(seen)


def invited(link, seen):
    time.sleep(0.1)
    if seen["expect"] and has_body(seen):
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
    link.read_body(seen)


def to_the_last_chunk(link, seen):
    while size := int(link._line().split(b";")[0], 16):
        link._take(seen, size)
        link._line()
    while link._line():
        pass


def to_the_last_boundary(link, seen):
    while b"--x--" not in link.buffer:
        if not link._more():
            raise EOFError


def nothing(link, seen):
    pass


SSE = "Host: h\r\nx-amz-server-side-encryption: AES256\r\n"
AWS_CHUNKED = "6\r\nsecret\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
FORM = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in
               [("key", "k"), ("x-amz-server-side-encryption", "AES256")])
FORM += '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nsecret\r\n--x--'
EXPECTS = f"PUT /locked/k HTTP/1.1\r\n{SSE}Expect: 100-continue\r\nContent-Length: 6\r\n\r\nsecret"
#: How a client leaves when the store has all that it wants: what the store reads, what the client sends, whether it resets.
LEAVES = {
    "whole": (whole, EXPECTS.replace("Expect: 100-continue\r\n", ""), True),
    "expect": (whole, EXPECTS, True),
    "expect, invited": (invited, EXPECTS, True),
    "aws-chunked": (to_the_last_chunk, f"PUT /locked/k HTTP/1.1\r\n{SSE}x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
                    f"x-amz-decoded-content-length: 6\r\nContent-Length: {len(AWS_CHUNKED) + 1}\r\n\r\n{AWS_CHUNKED}", False),
    "aws-chunked, then no chunk": (to_the_last_chunk, f"PUT /locked/k HTTP/1.1\r\n{SSE}x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
                                   f"x-amz-decoded-content-length: 6\r\nTransfer-Encoding: chunked\r\n\r\n{len(AWS_CHUNKED):x}\r\n{AWS_CHUNKED}\r\nno\n", False),
    "form": (to_the_last_boundary, "POST /locked HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=x\r\n"
             f"Content-Length: {len(FORM) + 2}\r\n\r\n{FORM}", False),
    "copy": (nothing, f"PUT /locked/k HTTP/1.1\r\n{SSE}x-amz-copy-source: /source/k\r\nContent-Length: 1\r\n\r\n", False),
}


@pytest.mark.parametrize("how", LEAVES)
def test_who_leaves_hides_no_write(fake_gate, fake, how):
    """Whatever a client does once the store may have written: what the store says of it is looked at, acted upon and told."""
    reads, request, resets = LEAVES[how]
    if reads is to_the_last_chunk and "Transfer" in request:
        inner = reads

        def reads(link, seen):
            link._line()
            inner(link, seen)

    fake.behave = Plain(reads)
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        request, breaks, _ = request.partition("no\n")
        wire.send(request)
        if resets:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif breaks:
            time.sleep(0.1)
            wire.send(breaks)
            wire.final()
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["reason"], line["sse_confirmed"]) == (501, "unconfirmed", None), line
    assert "is deleted" in line["error"]
    assert (fake.behave.wrote, fake.behave.deleted) == (1, ["/locked/k?versionId=v9"])
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + 1


@pytest.mark.parametrize("resets", [False, True])
def test_who_leaves_in_http2_hides_no_write(fake_gate, fake, resets):
    fake.behave = Plain(to_the_last_chunk)
    fake_gate.mark()
    fields = [("x-amz-server-side-encryption", "AES256"), ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
              ("x-amz-decoded-content-length", "6"), ("content-length", str(len(AWS_CHUNKED) + 1))]
    with H2(fake_gate.address) as h2:
        stream = h2.head("PUT", "/locked/k", *fields, end=False)
        h2.data(stream, AWS_CHUNKED.encode(), end=False)
        time.sleep(0.1)
        if resets:
            h2.h2.reset_stream(stream)
            h2.flush()
            time.sleep(0.5)
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["reason"]) == (501, "unconfirmed"), line
    assert fake.behave.deleted == ["/locked/k?versionId=v9"]


def test_who_leaves_is_told_from_a_store_that_drops_the_rest(fake_gate, fake):
    """A body that is not whole, and a store that writes nothing then."""
    fake.behave = Plain(whole)
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        wire.send(PUT[:-1])
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["decision"], line["reason"]) == (400, "error", "client")
    assert (fake.behave.wrote, fake.behave.deleted) == (0, [])
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before


def closes_at_once(link, seen):
    if seen["user-agent"] == "sealgate":
        return respond(link, "404 Not Found", seen=seen)
    while link._more():
        pass
    return False


@pytest.mark.parametrize("sent, counts", [
    ("POST /locked/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n<x/>", True),
    ("POST /locked/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", False),
    (LEAVES["copy"][1], True),
    (EXPECTS.replace("Expect: 100-continue\r\n", "")[:-1], False),
    (LEAVES["form"][1], True),
    (LEAVES["form"][1][:-2], True),
    (LEAVES["form"][1][:-3], False),
    (LEAVES["aws-chunked"][1], True),
    (LEAVES["aws-chunked"][1].replace("length: 6", "length: 1000"), True),
    (LEAVES["aws-chunked"][1].partition("secret")[0] + "secret", True),
    (LEAVES["aws-chunked"][1].partition("secret")[0] + "secre", False),
    (LEAVES["aws-chunked"][1].partition("6\r\nsecret")[0], False),
    (LEAVES["aws-chunked, then no chunk"][1].partition("no\n")[0], True),
    (LEAVES["aws-chunked, then no chunk"][1].partition("et\r\n0\r\n")[0], False),
], ids=["document", "nothing", "copy", "object", "form", "form without dashes", "form's file", "aws-chunked", "of another length",
        "its data", "half of its data", "its head", "in chunks", "half in chunks"])
def test_who_leaves_before_a_store_that_closes_at_once(fake_gate, fake, sent, counts):
    """A proxy before the store, that drops what its client does not end; the store had the whole document, and completes."""
    fake.behave = closes_at_once
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        wire.send(sent)
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["decision"], line["reason"]) == ((501, "error", "unconfirmed") if counts else (400, "error", "client")), line
    assert ("may have had all" in line["error"]) == counts
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + counts
    # Where it is reported only, it is counted and marked.
    with Wire(fake_gate.address) as wire:
        wire.send(sent.replace("/locked", "/reported"))
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["decision"], line["reason"]) == (400, "error", "unconfirmed" if counts else "client"), line
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + 2 * counts


@pytest.mark.parametrize("begin, refused, counts", [("", "\r\n--xZZ\r\n", False), ("\r\n--x--", "ZZ", True)])
def test_a_form_of_which_a_piece_is_refused(fake_gate, fake, begin, refused, counts):
    """The store does not get that piece; what came before it may have ended the file."""
    links = []

    def closes(link, seen):
        if seen["user-agent"] != "sealgate":
            links.append(link)
        return closes_at_once(link, seen)

    fake.behave = closes
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    head, file, _ = LEAVES["form"][1].partition("secret")
    with Wire(fake_gate.address) as wire:
        wire.send(head + file + begin)
        wait_until("the file", lambda: any((file + begin).encode() in link.buffer for link in links), 5)
        assert fake_gate.metric("sealgate_store_unconfirmed_total") == before
        wire.send(refused)
        answer = wire.answer("POST")
    line = fake_gate.audit_new()[0]
    assert (answer.status, line["decision"], line["reason"]) == ((501, "error", "unconfirmed") if counts else (400, "error", "request")), line
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + counts


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("confirmed", [False, True])
def test_an_answer_that_breaks_off_after_its_head(fake_gate, fake, leaves, confirmed):
    """Its head has said that something was written; what that is like is looked at."""
    def own(link, seen):
        if confirmed and seen.method == "HEAD":
            return respond(link, "200 OK", "x-amz-version-id: v9", "x-amz-server-side-encryption: AES256", seen=seen)
        return Versioned()(link, seen)

    class Broken(Plain):
        def __call__(self, link, seen):
            if seen["user-agent"] == "sealgate":
                return super().__call__(link, seen)
            self.reads(link, seen)
            link.send('HTTP/1.1 200 OK\r\nETag: "mine"\r\nx-amz-version-id: v9\r\nContent-Length: 50\r\n\r\n<')
            time.sleep(0.3)
            return False

    fake.behave = Broken(whole, own)
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        wire.send(COPY)
        if not leaves:
            assert wire.answer().status == (503 if confirmed else 501)
    line = fake_gate.audit_new()[0]
    if confirmed:
        assert line["reason"] in ("store", "client") and fake.behave.deleted == [], line
        assert fake_gate.metric("sealgate_store_unconfirmed_total") == before
    else:
        assert (line["status"], line["reason"]) == (501, "unconfirmed"), line
        assert fake.behave.deleted == ["/locked/k?versionId=v9"]
        assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + 1


@pytest.mark.parametrize("request_", [COPY, PUT], ids=["copy", "object"])
def test_an_answer_that_breaks_off_where_it_is_reported_only(fake_gate, fake, request_):
    def breaks(link, seen):
        link.read_body(seen)
        link.send('HTTP/1.1 200 OK\r\nETag: "mine"\r\nContent-Length: 50\r\n\r\n<')
        time.sleep(0.3)
        return False

    fake.behave = breaks
    before = fake_gate.metric("sealgate_store_unconfirmed_total")
    fake_gate.mark()
    assert ask(fake_gate, request_.replace(b"/locked/", b"/reported/")).status == 503
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["decision"], line["reason"]) == (503, "error", "unconfirmed"), line
    assert "did not confirm the encryption" in line["error"]
    assert fake_gate.metric("sealgate_store_unconfirmed_total") == before + 1


def test_what_is_reported_only_is_so_of_who_leaves(fake_gate, fake):
    reads, request, _ = LEAVES["aws-chunked"]
    fake.behave = Plain(reads)
    fake_gate.mark()
    with Wire(fake_gate.address) as wire:
        wire.send(request.replace("/locked/", "/reported/"))
    line = fake_gate.audit_new()[0]
    assert (line["status"], line["decision"], line["reason"]) == (200, "allow", "unconfirmed")
    assert fake.behave.deleted == []


@pytest.mark.parametrize("shown", [False, True])
def test_a_repeated_completion_deletes_no_earlier_version(fake_gate, fake, shown):
    """It is answered with the version that the first one wrote: only what a look shows to be plaintext is deleted."""
    versioned = Versioned()

    def own(link, seen):
        if seen.method == "HEAD" and seen.target.startswith("/locked/k"):
            return respond(link, "200 OK" if shown else "503 Slow Down", "x-amz-version-id: v9", seen=seen)
        return versioned(link, seen)

    fake.behave = Plain(whole, own)
    fake_gate.mark()
    answer = ask(fake_gate, b"POST /locked/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n<x/> ")
    assert answer.status == 501
    line = fake_gate.audit_new()[0]
    assert ("is deleted" if shown else "an earlier request") in line["error"]
    assert fake.behave.deleted == (["/locked/k?versionId=v9"] if shown else [])


def test_nothing_secret_is_told(fake_gate, fake):
    fake.behave = Scripted(head_says('"anothers"'))
    ask(fake_gate, COPY)
    shown = fake_gate.audit_file.read_text() + fake_gate.process.output()
    assert "very-secret" not in shown and not re.search(r"Signature=[0-9a-f]", shown)


def test_reads_and_honest_stores_cost_no_question(fake_gate, fake):
    asked = []

    def behave(link, seen):
        asked.extend([seen] if seen["user-agent"] == "sealgate" else [])
        honest(link, seen)

    fake.behave = behave
    assert ask(fake_gate, PUT).status == 200
    assert ask(fake_gate, b"GET /locked/k HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
    assert asked == []
