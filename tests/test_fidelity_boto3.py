"""boto3 says the same through Sealgate as directly: results, headers, errors, what is stored."""

import base64
import hashlib
import http.client
import itertools
import time

import pytest

from harness import compare
from harness.boto import Recorder
from harness.stores import STORES

_number = itertools.count(1000)
BODY = bytes(range(256)) * 37
PART = bytes(i % 251 for i in range(5 * 1024 * 1024))
CALLS = {}


def scenario(run):
    CALLS[run.__name__] = run
    return run


@scenario
def buckets(r: Recorder):
    r.call("head_bucket")
    r.call("get_bucket_location")
    r.call("create_bucket", "again")
    r.call("head_bucket", "absent", Bucket=f"no-{r.bucket}")
    r.call("list_objects_v2", "absent", Bucket=f"no-{r.bucket}")
    names = [b["Name"] for b in r.s3.list_buckets()["Buckets"]]
    r.note("listed", r.bucket in names)
    r.call("get_bucket_versioning")
    r.call("get_bucket_policy")
    r.call("get_bucket_acl")
    r.call("get_bucket_tagging")
    r.call("get_bucket_lifecycle_configuration")
    r.call("get_bucket_cors")
    r.call("get_bucket_encryption")


@scenario
def objects(r: Recorder):
    r.call("put_object", Key="plain", Body=BODY)
    r.call("get_object", Key="plain")
    r.call("head_object", Key="plain")
    r.call("put_object", "over", Key="plain", Body=BODY[:100])
    r.call("get_object", "over", Key="plain")
    r.call("put_object", "empty", Key="empty", Body=b"")
    r.call("get_object", "empty", Key="empty")
    r.call("delete_object", Key="plain")
    r.call("delete_object", "again", Key="plain")
    r.call("get_object", "absent", Key="plain")
    r.call("head_object", "absent", Key="plain")


@scenario
def described(r: Recorder):
    r.call(
        "put_object", Key="described", Body=BODY, ContentType="text/x-test; charset=utf-8", CacheControl="max-age=7, private",
        ContentDisposition='attachment; filename="a b.txt"', ContentEncoding="x-none", ContentLanguage="de, fr",
        Expires="Wed, 21 Oct 2037 07:28:00 GMT", Metadata={"one": "1", "two-words": "a  b", "case": "MiXeD"},
        Tagging="k1=v1&k2=a%20b",
    )
    r.call("head_object", Key="described")
    r.call("get_object", Key="described")
    r.call("get_object_tagging", Key="described")
    r.call("put_object_tagging", Key="described", Tagging={"TagSet": [{"Key": "x", "Value": "y z"}]})
    r.call("get_object_tagging", "after", Key="described")
    r.call("delete_object_tagging", Key="described")
    r.call("get_object", "renamed", Key="described", ResponseContentType="text/css", ResponseCacheControl="no-cache",
           ResponseContentDisposition="inline")
    r.call("get_object_attributes", Key="described", ObjectAttributes=["ETag", "ObjectSize", "StorageClass"])
    r.call("get_object_acl", Key="described")


KEYS = ["a b+c%.txt", "ü/ñ", "日本/☃.bin", "folder/", "q?x=1&y=2", "semi;colon=eq", "tilde~star*(paren)!'", "plus+%2B%20", "#hash",
        "a:b@c,d$e", "back\\slash", '"quoted"<&>', "x" * 200, "./dot", "a/../b", "double//slash", "trailing."]


@scenario
def keys(r: Recorder):
    for key in KEYS:
        body = b"" if key.endswith("/") else key.encode()
        r.call("put_object", repr(key), Key=key, Body=body)
        r.call("get_object", repr(key), Key=key)
    r.call("list_objects_v2", "encoded", EncodingType="url")
    r.call("list_objects_v2", "prefix", Prefix="a ")
    for key in KEYS:
        r.call("delete_object", repr(key), Key=key)


@scenario
def listings(r: Recorder):
    for key in ("a", "b/1", "b/2", "b/c/3", "d", "e/f"):
        r.call("put_object", key, Key=key, Body=key.encode())
    r.call("list_objects", "v1")
    r.call("list_objects", "v1 delimiter", Delimiter="/")
    r.call("list_objects", "v1 pages", MaxKeys=2)
    r.call("list_objects", "v1 marker", Marker="b/1", MaxKeys=2)
    r.call("list_objects_v2", "v2")
    r.call("list_objects_v2", "v2 delimiter", Delimiter="/", Prefix="b/")
    r.call("list_objects_v2", "start", StartAfter="b/2", FetchOwner=True)
    token, pages = None, 0
    while pages < 10:
        more = {"ContinuationToken": token} if token else {}
        page = r.call("list_objects_v2", f"page {pages}", MaxKeys=2, **more)
        pages += 1
        token = page.get("NextContinuationToken")
        if not token:
            break
    r.call("list_objects_v2", "none", Prefix="zzz")
    r.call("list_objects_v2", "bad token", ContinuationToken="nonsense")
    r.call("list_multipart_uploads")


@scenario
def versions(r: Recorder):
    r.call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    one = r.call("put_object", "1", Key="k", Body=b"one")
    r.call("put_object", "2", Key="k", Body=b"two2")
    r.call("list_object_versions")
    if "VersionId" in one:
        r.call("get_object", "old", Key="k", VersionId=one["VersionId"])
        r.call("head_object", "old", Key="k", VersionId=one["VersionId"])
    r.call("delete_object", Key="k")
    r.call("get_object", "marker", Key="k")
    r.call("list_object_versions", "after")
    if "VersionId" in one:
        r.call("delete_object", "version", Key="k", VersionId=one["VersionId"])
    r.call("get_object", "no such version", Key="k", VersionId="3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY")


@scenario
def ranges(r: Recorder):
    r.call("put_object", Key="k", Body=BODY)
    for span in ("bytes=0-0", "bytes=5-99", "bytes=100-", "bytes=-7", "bytes=9400-99999", "bytes=99999-", "bytes=5-2", "lines=1-2"):
        r.call("get_object", span, Key="k", Range=span)
    r.call("head_object", "range", Key="k", Range="bytes=1-3")
    r.call("get_object", "part 1", Key="k", PartNumber=1)


@scenario
def conditions(r: Recorder):
    etag = r.call("put_object", Key="k", Body=BODY)["ETag"]
    past, future = "Mon, 01 Jan 2001 00:00:00 GMT", "Wed, 21 Oct 2037 07:28:00 GMT"
    for method in ("get_object", "head_object"):
        for label, params in {
            "match": {"IfMatch": etag},
            "match other": {"IfMatch": '"0000"'},
            "none match": {"IfNoneMatch": etag},
            "none match other": {"IfNoneMatch": '"0000"'},
            "modified": {"IfModifiedSince": past},
            "not modified": {"IfModifiedSince": future},
            "unmodified": {"IfUnmodifiedSince": future},
            "unmodified not": {"IfUnmodifiedSince": past},
        }.items():
            r.call(method, label, Key="k", **params)
    r.call("put_object", "if none match *", Key="k", Body=b"x", IfNoneMatch="*")
    r.call("put_object", "if none match * new", Key="new", Body=b"x", IfNoneMatch="*")
    r.call("put_object", "if match", Key="k", Body=b"y", IfMatch='"0000"')
    r.call("get_object", "after", Key="k")


@scenario
def multipart(r: Recorder):
    upload = r.call("create_multipart_upload", Key="big", ContentType="video/x", Metadata={"m": "v"})["UploadId"]
    parts = []
    for number, body in ((1, PART), (2, PART[::-1]), (3, b"end")):
        etag = r.call("upload_part", str(number), Key="big", PartNumber=number, UploadId=upload, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    r.call("list_parts", Key="big", UploadId=upload)
    r.call("list_multipart_uploads")
    r.call("complete_multipart_upload", "wrong", Key="big", UploadId=upload,
           MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0123456789abcdef0123456789abcdef"'}]})
    r.call("complete_multipart_upload", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    r.call("head_object", Key="big")
    body = r.s3.get_object(Bucket=r.bucket, Key="big")["Body"].read()
    r.note("stored", hashlib.md5(body).hexdigest())
    r.call("get_object", "across parts", Key="big", Range=f"bytes={len(PART) - 3}-{len(PART) + 3}")
    r.call("head_object", "part 2", Key="big", PartNumber=2)
    upload = r.call("create_multipart_upload", "2", Key="gone")["UploadId"]
    r.call("upload_part", "gone", Key="gone", PartNumber=1, UploadId=upload, Body=b"x")
    r.call("abort_multipart_upload", Key="gone", UploadId=upload)
    r.call("upload_part", "no upload", Key="gone", PartNumber=1, UploadId=upload, Body=b"x")
    upload = r.call("create_multipart_upload", "copied", Key="copied")["UploadId"]
    etag = r.call("upload_part_copy", Key="copied", PartNumber=1, UploadId=upload, CopySourceRange="bytes=0-99",
                  CopySource={"Bucket": r.bucket, "Key": "big"}).get("CopyPartResult", {}).get("ETag", '"x"')
    r.call("complete_multipart_upload", "copied", Key="copied", UploadId=upload,
           MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})


@scenario
def copies(r: Recorder):
    r.call("put_object", Key="from here", Body=BODY, ContentType="text/x", Metadata={"a": "b"})
    source = {"Bucket": r.bucket, "Key": "from here"}
    r.call("copy_object", Key="to", CopySource=source)
    r.call("get_object", Key="to")
    r.call("copy_object", "replace", Key="to", CopySource=source, MetadataDirective="REPLACE",
           ContentType="text/y", Metadata={"c": "d"})
    r.call("head_object", Key="to")
    r.call("copy_object", "absent", Key="to", CopySource=f"{r.bucket}/absent")
    r.call("copy_object", "itself", Key="to", CopySource=f"{r.bucket}/to")
    r.call("copy_object", "if", Key="to", CopySource=source, CopySourceIfMatch='"0000"')


@scenario
def deletes(r: Recorder):
    for key in ("a", "b & c", "<d>", "ü"):
        r.call("put_object", key, Key=key, Body=b"x")
    r.call("delete_objects", Delete={"Objects": [{"Key": k} for k in ("a", "b & c", "<d>", "absent")]})
    r.call("delete_objects", "quiet", Delete={"Objects": [{"Key": "ü"}], "Quiet": True})
    r.call("list_objects_v2")
    r.call("delete_bucket")
    r.call("head_bucket", "gone")


@scenario
def checksums(r: Recorder):
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        r.call("put_object", algorithm, Key=algorithm, Body=BODY, ChecksumAlgorithm=algorithm)
        r.call("head_object", algorithm, Key=algorithm, ChecksumMode="ENABLED")
        r.call("get_object", algorithm, Key=algorithm, ChecksumMode="ENABLED")
    r.call("put_object", "wrong crc", Key="wrong", Body=BODY, ChecksumCRC32="AAAAAA==")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    r.call("put_object", "wrong md5", Key="wrong", Body=BODY, ContentMD5=md5)
    r.call("put_object", "no md5", Key="wrong", Body=BODY, ContentMD5="nonsense")
    r.call("head_object", "not stored", Key="wrong")


@scenario
def errors(r: Recorder):
    r.call("get_object", "no key", Key="absent/ü")
    r.call("get_object", "no bucket", Bucket=f"no-{r.bucket}", Key="k")
    r.call("put_object", "no bucket", Bucket=f"no-{r.bucket}", Key="k", Body=BODY)
    # Asked directly, Garage takes the next request of this connection for the body that it refused.
    r.reconnect()
    r.call("put_object", "after it", Key="k", Body=BODY)
    r.call("put_object", "no class", Key="k", Body=BODY, StorageClass="NONSENSE")
    r.call("put_object", "no acl", Key="k", Body=BODY, ACL="nonsense")
    r.call("get_object_tagging", "absent", Key="absent")
    r.call("put_bucket_policy", "bad", Policy="{}")


@scenario
def large(r: Recorder):
    body = PART * 3
    r.call("put_object", Key="large", Body=body)
    got = r.s3.get_object(Bucket=r.bucket, Key="large")
    r.note("stored", (got["ContentLength"], hashlib.sha256(got["Body"].read()).hexdigest()))


def _url(r: Recorder, label: str, method: str, url: str, body: bytes | None = None, **headers: str):
    address, _, target = url.removeprefix("http://").partition("/")
    link = http.client.HTTPConnection(address, timeout=30)
    link.request(method, "/" + target, body, headers)
    answer = link.getresponse()
    data = answer.read()
    link.close()
    r.note(label, (answer.status, answer.reason, compare.headers(answer.getheaders(), r.names, data.startswith(b"<?xml")),
                   compare.body(data, r.names)))


def _presigned(r: Recorder):
    put = r.s3.generate_presigned_url("put_object", {"Bucket": r.bucket, "Key": "pre signed+ü"})
    _url(r, "PUT", "PUT", put, BODY)
    get = r.s3.generate_presigned_url("get_object", {"Bucket": r.bucket, "Key": "pre signed+ü", "ResponseContentType": "text/x"})
    _url(r, "GET", "GET", get)
    _url(r, "GET range", "GET", get, None, Range="bytes=3-9")
    _url(r, "HEAD by GET's url", "HEAD", get)
    _url(r, "other key", "GET", get.replace("pre%20signed", "pre%20other"))
    old = r.s3.generate_presigned_url("get_object", {"Bucket": r.bucket, "Key": "pre signed+ü"}, ExpiresIn=1)
    time.sleep(2.1)
    _url(r, "expired", "GET", old)


@scenario
def presigned_v4(r: Recorder):
    _presigned(r)


@scenario
def presigned_v2(r: Recorder):
    old = Recorder(r.endpoint, r.store, r.bucket, signature_version="s3")
    _presigned(old)
    r.steps += old.steps


@scenario
def post_form(r: Recorder):
    form = r.s3.generate_presigned_post(r.bucket, "posted/${filename}", Fields={"Content-Type": "text/x"},
                                        Conditions=[{"Content-Type": "text/x"}, ["content-length-range", 1, 100]])
    for label, content in (("good", b"the file"), ("long", b"x" * 101)):
        bound = "----bound7"
        body = b"".join(
            f'--{bound}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in form["fields"].items()
        )
        body += f'--{bound}\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\n'.encode()
        body += content + f"\r\n--{bound}--\r\n".encode()
        _url(r, label, "POST", form["url"], body, **{"Content-Type": f"multipart/form-data; boundary={bound}"})
    r.call("get_object", Key="posted/f.txt")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", STORES)
def test_same(stores, open_proxies, name, call):
    store = stores(name)
    number = next(_number)
    runs = []
    for endpoint, side in ((store.endpoint, "d"), (open_proxies(name).endpoint, "p")):
        recorder = Recorder(endpoint, store, f"fid-{number}-{side}")
        Recorder(store.endpoint, store, recorder.bucket).s3.create_bucket(Bucket=recorder.bucket)
        CALLS[call](recorder)
        runs.append(recorder.steps)
    assert runs[0], "nothing was compared"
    found = compare.differences(*runs)
    assert not found, "\n".join(found)
