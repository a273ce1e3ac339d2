"""What is demanded holds on real stores with real clients: refused without, accepted with, and nothing lands that was refused."""

import http.client
import io
import itertools

import pytest
from botocore.exceptions import ClientError

from harness.boto import client
from harness.commands import Aws, Curl, Rclone, S3cmd
from harness.sealgate import Sealgate
from harness.stores import STORES

_number = itertools.count(1)
BODY = b"secret content " * 1000
DENY = {
    "Version": "2012-10-17",
    "Statement": [{
        "Sid": "DenyUnencrypted", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::policy-*/*",
        "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}},
    }],
}


@pytest.fixture(scope="module")
def guards(scratch, stores):
    """Sealgate with demands, in front of a store, by its name."""
    running = {}

    def start(name: str) -> Sealgate:
        if name not in running:
            # Some of these stores take the header and do not encrypt; what is looked at here is the demand alone.
            rules = [{"bucket": "locked-*", "require": "any", "unconfirmed": "report"},
                     {"bucket": "policy-*", "policy": DENY, "unconfirmed": "report"}, {"bucket": "open-*"}]
            running[name] = Sealgate(scratch / f"guard-{name}", stores(name).endpoint, rules).start()
        return running[name]

    yield start
    for proxy in running.values():
        proxy.stop()


class Bench:
    """A store, Sealgate in front of it, a bucket of each kind, and clients for both ways in."""

    def __init__(self, store, guard, folder):
        number = next(_number)
        self.store, self.guard, self.folder = store, guard, folder
        self.locked, self.policy, self.open = (f"{kind}-{store.name}-{number}" for kind in ("locked", "policy", "open"))
        self.direct = client(store.endpoint, store)
        self.s3 = client(guard.endpoint, store)
        for bucket in (self.locked, self.policy, self.open):
            self.direct.create_bucket(Bucket=bucket)
        self.file = folder / "file"
        self.file.write_bytes(BODY)

    def holds(self, bucket: str) -> list[str]:
        return [e["Key"] for e in self.direct.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def denied(self, operation: str, **params):
        with pytest.raises(ClientError) as failed:
            getattr(self.s3, operation)(**params)
        answer = failed.value.response
        assert answer["Error"]["Code"] == "AccessDenied", answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403

    def accepted(self, call) -> bool:
        """Calls with an SSE header; true where the store took it. What the store refuses it refuses itself."""
        try:
            call()
        except ClientError as failed:
            assert self.store.sse_s3 == "refused", failed.response
            assert failed.response["Error"]["Code"] != "AccessDenied", failed.response
            return False
        assert self.store.sse_s3 != "refused"
        return True


@pytest.fixture(params=STORES)
def bench(request, stores, guards, tmp_path) -> Bench:
    return Bench(stores(request.param), guards(request.param), tmp_path)


@pytest.mark.parametrize("kind", ["locked", "policy"])
def test_boto3_put(bench, kind):
    bucket = getattr(bench, kind)
    bench.denied("put_object", Bucket=bucket, Key="k", Body=BODY)
    bench.denied("put_object", Bucket=bucket, Key="k", Body=io.BytesIO(BODY))
    bench.denied("put_object", Bucket=bucket, Key="k", Body=b"")
    assert bench.holds(bucket) == []
    if bench.accepted(lambda: bench.s3.put_object(Bucket=bucket, Key="k", Body=BODY, ServerSideEncryption="AES256")):
        assert bench.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY
        head = bench.direct.head_object(Bucket=bucket, Key="k")
        assert ("ServerSideEncryption" in head) == (bench.store.sse_s3 == "echoed"), head
    # The client goes on as if nothing had been.
    bench.s3.put_object(Bucket=bench.open, Key="k", Body=BODY)
    assert bench.holds(bench.open) == ["k"]


def test_boto3_kms(bench):
    call = {"Bucket": bench.locked, "Key": "k", "Body": BODY, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "main"}
    if bench.store.sse_kms == "refused":
        with pytest.raises(ClientError) as failed:
            bench.s3.put_object(**call)
        assert failed.value.response["Error"]["Code"] != "AccessDenied"
        return
    answer = bench.s3.put_object(**call)
    assert ("SSEKMSKeyId" in answer) == (bench.store.sse_kms == "echoed")


def test_boto3_denied_body_never_leaves_the_client(bench):
    bench.denied("put_object", Bucket=bench.locked, Key="large", Body=io.BytesIO(bytes(8_000_000)))
    line = next(e for e in reversed(bench.guard.audit()) if e["bucket"] == bench.locked)
    assert (line["decision"], line["bytes_in"]) == ("deny", 0)
    assert line["bytes_refused"] >= 8_000_000


def test_boto3_multipart(bench):
    bench.denied("create_multipart_upload", Bucket=bench.locked, Key="k")
    body = bytes(11_000_000)

    def upload():
        start = bench.s3.create_multipart_upload(Bucket=bench.locked, Key="k", ServerSideEncryption="AES256")
        parts = []
        for number, part in enumerate((body[:5_500_000], body[5_500_000:10_900_000], body[10_900_000:]), 1):
            done = bench.s3.upload_part(Bucket=bench.locked, Key="k", UploadId=start["UploadId"], PartNumber=number, Body=part)
            parts.append({"PartNumber": number, "ETag": done["ETag"]})
        bench.s3.complete_multipart_upload(Bucket=bench.locked, Key="k", UploadId=start["UploadId"], MultipartUpload={"Parts": parts})

    if bench.accepted(upload):
        assert bench.direct.head_object(Bucket=bench.locked, Key="k")["ContentLength"] == len(body)


def test_boto3_copy(bench):
    bench.direct.put_object(Bucket=bench.open, Key="from", Body=BODY)
    source = {"Bucket": bench.open, "Key": "from"}
    bench.denied("copy_object", Bucket=bench.locked, Key="to", CopySource=source)
    assert bench.holds(bench.locked) == []
    bench.accepted(lambda: bench.s3.copy_object(Bucket=bench.locked, Key="to", CopySource=source, ServerSideEncryption="AES256"))


def _url(method: str, url: str, body: bytes | None, headers: dict | None = None):
    address, _, target = url.removeprefix("http://").partition("/")
    link = http.client.HTTPConnection(address, timeout=30)
    link.request(method, "/" + target, body, headers or {})
    answer = link.getresponse()
    return answer.status, answer.read(), link.close()


def test_presigned_put(bench):
    url = bench.s3.generate_presigned_url("put_object", {"Bucket": bench.locked, "Key": "k"})
    status, body, _ = _url("PUT", url, BODY)
    assert status == 403 and b"<Code>AccessDenied</Code>" in body
    url = bench.s3.generate_presigned_url("put_object", {"Bucket": bench.locked, "Key": "k", "ServerSideEncryption": "AES256"})
    status, body, _ = _url("PUT", url, BODY, {"x-amz-server-side-encryption": "AES256"})
    assert (status == 200) == (bench.store.sse_s3 != "refused"), body
    assert b"AccessDenied" not in body
    assert bench.holds(bench.locked) == (["k"] if status == 200 else [])


def test_presigned_put_with_the_header_in_the_query(bench):
    old = client(bench.guard.endpoint, bench.store, signature_version="s3")
    url = old.generate_presigned_url("put_object", {"Bucket": bench.locked, "Key": "k", "ServerSideEncryption": "AES256"})
    assert "x-amz-server-side-encryption=AES256" in url
    _, body, _ = _url("PUT", url, BODY)
    # The gate counts it and lets it through; whether the store takes SigV2 is the store's affair.
    line = next(e for e in reversed(bench.guard.audit()) if e["bucket"] == bench.locked)
    assert line["decision"] == "allow", (line, body)
    assert line["sse_requested"] == "AES256"


def test_presigned_post(bench):
    def post(**fields):
        form = bench.s3.generate_presigned_post(bench.locked, "k", Fields=fields, Conditions=[{k: v} for k, v in fields.items()])
        body = b"".join(f'--b0\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in form["fields"].items())
        body += b'--b0\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + BODY + b"\r\n--b0--\r\n"
        return _url("POST", form["url"], body, {"Content-Type": "multipart/form-data; boundary=b0"})

    status, body, _ = post()
    assert status == 403 and b"<Code>AccessDenied</Code>" in body, body
    assert bench.holds(bench.locked) == []
    status, body, _ = post(**{"x-amz-server-side-encryption": "AES256"})
    line = next(e for e in reversed(bench.guard.audit()) if e["bucket"] == bench.locked)
    assert line["decision"] == "allow", (line, body)
    if status // 100 == 2:
        assert bench.holds(bench.locked) == ["k"]


def test_delete_and_list_need_nothing(bench):
    bench.direct.put_object(Bucket=bench.locked, Key="k", Body=BODY)
    assert [e["Key"] for e in bench.s3.list_objects_v2(Bucket=bench.locked)["Contents"]] == ["k"]
    assert bench.s3.get_object(Bucket=bench.locked, Key="k")["Body"].read() == BODY
    done = bench.s3.delete_objects(Bucket=bench.locked, Delete={"Objects": [{"Key": "k"}, {"Key": "x"}]})
    assert "Errors" not in done
    assert bench.holds(bench.locked) == []


def test_bucket_without_a_rule(bench):
    bench.direct.create_bucket(Bucket=f"unruled-{bench.open}")
    bench.denied("put_object", Bucket=f"unruled-{bench.open}", Key="k", Body=BODY)
    bench.denied("list_objects_v2", Bucket=f"unruled-{bench.open}")


def test_aws_cli(bench):
    aws = Aws(bench.guard.endpoint, bench.store, bench.folder)
    done = aws("s3", "cp", "file", f"s3://{bench.locked}/k")
    assert done.code != 0 and "AccessDenied" in done.err, done
    assert bench.holds(bench.locked) == []
    done = aws("s3", "cp", "--sse", "AES256", "file", f"s3://{bench.locked}/k")
    assert (done.code == 0) == (bench.store.sse_s3 != "refused"), done
    assert "AccessDenied" not in done.err


def test_curl(bench):
    curl = Curl(bench.guard.endpoint, bench.store, bench.folder)
    unsigned = ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-T", bench.file]
    done = curl(f"/{bench.locked}/k", *unsigned, "-H", "Expect: 100-continue").ok()
    assert done.out.startswith("HTTP/1.1 403 Forbidden") and "100 Continue" not in done.out, done
    done = curl(f"/{bench.locked}/k", *unsigned, "-H", "x-amz-server-side-encryption: AES256").ok()
    assert ("HTTP/1.1 200" in done.out) == (bench.store.sse_s3 != "refused"), done


def test_rclone(bench):
    rclone = Rclone(bench.guard.endpoint, bench.store, bench.folder)
    done = rclone("copyto", bench.file, f"s:{bench.locked}/k", "--s3-no-check-bucket")
    assert done.code != 0 and "AccessDenied" in done.err, done
    assert bench.holds(bench.locked) == []
    done = rclone("copyto", bench.file, f"s:{bench.locked}/k", "--s3-no-check-bucket", "--s3-server-side-encryption", "AES256")
    assert (done.code == 0) == (bench.store.sse_s3 != "refused"), done


def test_s3cmd(bench):
    s3cmd = S3cmd(bench.guard.endpoint, bench.store, bench.folder)
    done = s3cmd("put", bench.file, f"s3://{bench.locked}/k")
    assert done.code != 0 and "AccessDenied" in done.err + done.out, done
    assert bench.holds(bench.locked) == []
    done = s3cmd("put", "--server-side-encryption", bench.file, f"s3://{bench.locked}/k")
    assert (done.code == 0) == (bench.store.sse_s3 != "refused"), done


def test_sse_c_over_plain_http(bench):
    with pytest.raises(ClientError) as failed:
        bench.s3.put_object(Bucket=bench.locked, Key="k", Body=BODY, SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    assert failed.value.response["Error"]["Code"] == "InvalidRequest"
    assert bench.holds(bench.locked) == []
