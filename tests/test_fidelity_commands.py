"""AWS CLI v1, curl, rclone and s3cmd say the same through Sealgate as directly."""

import itertools
import re
from pathlib import Path

import pytest

from harness import compare
from harness.boto import client as boto_client
from harness.commands import CLIENTS, Done
from harness.stores import STORES

_number = itertools.count(1000)
SMALL = b"a small file\n"
LARGE = bytes(i % 253 for i in range(11 * 1024 * 1024))
WORK = {}


def work(function):
    WORK[function.__name__] = function
    return function


class Notes:
    """What a client printed and how it ended, ready to compare."""

    def __init__(self, client, store, endpoint: str, bucket: str, folder: Path):
        self.client, self.bucket, self.folder = client, bucket, folder
        self.s3 = boto_client(store.endpoint, store)
        self.names = {bucket: "{bucket}", endpoint.removeprefix("http://"): "{address}", str(folder): "{folder}"}
        self.steps = []
        (folder / "small").write_bytes(SMALL)
        (folder / "empty").write_bytes(b"")
        (folder / "large").write_bytes(LARGE)
        tree = folder / "tree" / "deep"
        tree.mkdir(parents=True)
        (tree / "a b+c%.txt").write_bytes(b"odd name")
        (folder / "tree" / "ü.txt").write_bytes(b"umlaut")

    def note(self, label: str, done: Done) -> Done:
        self.steps.append((label, {"exit": done.code, "out": _still(done.out, self.names), "err": _still(done.err, self.names)}))
        return done

    def file(self, label: str, path: Path):
        self.steps.append((label, path.read_bytes() if path.exists() else None))

    def stored(self):
        """What the store holds in the end, asked directly."""
        for entry in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            try:
                head = self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])
            except self.s3.exceptions.NoSuchKey:
                # The embedded store lists odd names in another way than it takes them.
                self.steps.append((f"stored {entry['Key']}", entry["Size"]))
                continue
            body = head.pop("Body").read()
            meta = {k: v for k, v in head["Metadata"].items() if k != "mtime" and not k.startswith("s3cmd")}
            self.steps.append((f"stored {entry['Key']}", {
                "size": entry["Size"], "body": body, "etag": entry.get("ETag"), "type": head.get("ContentType"), "meta": meta,
                "cache": head.get("CacheControl"),
            }))


_MOMENTS = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"(Date|Last-Modified|last-modified): [^\r\n]*"), r"\1: TIME"),
    (re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d (GMT|\+0000)"), "TIME"),
    (re.compile(r"(x-amz-request-id|x-amz-id-2|X-Amz-Request-Id|X-Amz-Id-2|X-Ratelimit-Remaining)(:|=) *[^\r\n]*", re.I), r"\1\2 ID"),
    (re.compile(r"(request id|host id|RequestID|HostID): *[\w+/=.-]*", re.I), r"\1: ID"),
    (re.compile(r'"UploadId": "[^"]*"'), '"UploadId": "ID"'),
    (re.compile(r"in [\d.]+ (seconds|s)\b.*|[\d.]+ [kKM]?i?B/s.*|Transferred:.*|Elapsed time:.*"), "SPEED"),
    (re.compile(r"Completed [^\n]*?(?=upload|download|copy|move|delete|\n|$)"), ""),
    (re.compile(r"Signature=[0-9a-f]+|Signature=[\w%+/]+"), "Signature=ID"),
    (re.compile(r"X-Amz-Date=\w+"), "X-Amz-Date=TIME"),
]


def _still(text: str, names: dict[str, str]) -> str:
    text = compare.plain(text, names).replace("\r\n", "\n").replace("\r", "\n")
    for pattern, instead in _MOMENTS:
        text = pattern.sub(instead, text)
    lines = [line.rstrip() for line in compare.body(text.encode(), names).splitlines() if line.strip()]
    return "\n".join(lines)


@work
def aws(n: Notes):
    # The CLI prints paths relative to its folder, which it is started in.
    f, b = Path("."), n.bucket

    def api(label: str, *words):
        return n.note(label, n.client("s3api", *words))

    n.note("cp", n.client("s3", "cp", f / "small", f"s3://{b}/small", "--cache-control", "max-age=3", "--metadata", "k=v"))
    n.note("cp large", n.client("s3", "cp", f / "large", f"s3://{b}/large"))
    n.note("cp -", n.client("s3", "cp", "-", f"s3://{b}/streamed", stdin=SMALL * 3))
    n.client("s3", "sync", f / "tree", f"s3://{b}/tree").ok()
    n.note("ls", n.client("s3", "ls", "--recursive", f"s3://{b}/"))
    n.client("s3", "cp", f"s3://{b}/large", f / "large.back").ok()
    n.file("large", n.folder / "large.back")
    n.client("s3", "cp", f"s3://{b}/large", f"s3://{b}/large.copy").ok()
    n.note("rm", n.client("s3", "rm", f"s3://{b}/large.copy"))
    api("head", "head-object", "--bucket", b, "--key", "small")
    api("get", "get-object", "--bucket", b, "--key", "small", "--range", "bytes=2-6", f / "part")
    n.file("get", n.folder / "part")
    api("none", "get-object", "--bucket", b, "--key", "none", f / "none")
    api("304", "head-object", "--bucket", b, "--key", "small", "--if-modified-since", "2037-10-21T07:28:00Z")
    url = n.client("s3", "presign", f"s3://{b}/small").ok().out.strip()
    n.steps.append(("presign", _still(url, n.names)))
    n.stored()


@work
def curl(n: Notes):
    f, b = n.folder, n.bucket
    empty = "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    unsigned = "x-amz-content-sha256: UNSIGNED-PAYLOAD"

    def curl(label: str, target: str, *words, **how) -> Done:
        for _ in range(10):
            done = n.client(target, *words, **how)
            # versitygw, asked directly as well, may invite a body, refuse it and close while it is sent: on a busy machine
            # the reset reaches curl before the answer.
            if done.code not in (55, 56):
                break
        # What was answered, in any order, without what belongs to the connection.
        heads, _, body = done.raw.rpartition(b"\r\n\r\n") if done.raw.startswith(b"HTTP/") else (b"", b"", done.raw)
        last = heads.decode("latin-1").split("\r\n\r\n")[-1].split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in last[1:] if ": " in line]
        n.steps.append((label, {
            "exit": done.code, "status": last[0].partition(" ")[2], "body": _still(body.decode("latin-1"), n.names),
            "headers": compare.headers(headers, n.names, body.startswith(b"<")),
        }))
        return done

    curl("PUT", f"/{b}/small", "-H", unsigned, "-T", f / "small", "-H", "Cache-Control: no-store", "-H", "Content-Type: text/x")
    curl("PUT empty", f"/{b}/empty", "-H", unsigned, "-T", f / "empty")
    curl("PUT large with Expect", f"/{b}/large", "-H", unsigned, "-H", "Expect: 100-continue", "-T", f / "large")
    curl("PUT chunked", f"/{b}/chunked", "-H", unsigned, "-T", "-", stdin=SMALL)
    curl("GET", f"/{b}/small", "-H", empty)
    curl("HEAD", f"/{b}/small", "-H", empty, "--head")
    curl("GET range", f"/{b}/small", "-H", empty, "-r", "2-6")
    curl("GET ranges", f"/{b}/small", "-H", empty, "-r", "0-1,4-5")
    curl("GET none", f"/{b}/none", "-H", empty)
    curl("GET no bucket", f"/no-{b}/k", "-H", empty)
    curl("PUT no bucket", f"/no-{b}/k", "-H", unsigned, "-H", "Expect: 100-continue", "-T", f / "large")
    curl("GET unsigned", f"/{b}/small", signed=False)
    curl("LIST", f"/{b}?list-type=2", "-H", empty)
    curl("DELETE", f"/{b}/empty", "-H", empty, "-X", "DELETE")
    curl("GET http/1.0", f"/{b}/small", "-H", empty, "--http1.0")
    n.stored()


@work
def rclone(n: Notes):
    f, b = n.folder, n.bucket
    n.note("copy", n.client("copy", f / "tree", f"s:{b}/tree"))
    n.note("copyto", n.client("copyto", f / "small", f"s:{b}/small", "--header-upload", "Cache-Control: max-age=9"))
    n.note("empty", n.client("copyto", f / "empty", f"s:{b}/empty"))
    n.note("multipart", n.client("copyto", f / "large", f"s:{b}/large", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M"))
    n.note("lsf", n.client("lsf", "-R", "--format", "ps", f"s:{b}"))
    hashes = n.client("hashsum", "MD5", f"s:{b}").ok()
    n.steps.append(("hash", sorted(hashes.out.splitlines())))
    n.note("cat", n.client("cat", f"s:{b}/tree/deep/a b+c%.txt"))
    n.note("check", n.client("check", f / "tree", f"s:{b}/tree"))
    n.note("back", n.client("copyto", f"s:{b}/large", f / "large.back"))
    n.file("back", f / "large.back")
    n.note("server copy", n.client("copyto", f"s:{b}/small", f"s:{b}/small.copy"))
    n.note("rcat", n.client("rcat", f"s:{b}/streamed", stdin=SMALL))
    n.note("delete", n.client("deletefile", f"s:{b}/empty"))
    n.note("absent", n.client("cat", f"s:{b}/none"))
    n.stored()


@work
def s3cmd(n: Notes):
    f, b = n.folder, n.bucket
    n.note("put", n.client("put", f / "small", f"s3://{b}/small", "--add-header", "Cache-Control: max-age=4"))
    n.note("put empty", n.client("put", f / "empty", f"s3://{b}/empty"))
    n.note("multipart", n.client("put", f / "large", f"s3://{b}/large"))
    n.note("sync", n.client("sync", f"{f}/tree/", f"s3://{b}/tree/"))
    n.note("ls", n.client("ls", "-r", f"s3://{b}"))
    n.note("info", n.client("info", f"s3://{b}/small"))
    n.note("get", n.client("get", f"s3://{b}/large", f / "large.back"))
    n.file("get", f / "large.back")
    n.note("cp", n.client("cp", f"s3://{b}/small", f"s3://{b}/small.copy"))
    n.note("del", n.client("del", f"s3://{b}/empty"))
    n.note("absent", n.client("get", f"s3://{b}/none", f / "none"))
    n.note("no bucket", n.client("ls", f"s3://no-{b}"))
    n.stored()


@pytest.mark.parametrize("program", CLIENTS)
@pytest.mark.parametrize("name", STORES)
def test_same(stores, open_proxies, tmp_path, name, program):
    store = stores(name)
    number = next(_number)
    runs = []
    for endpoint, side in ((store.endpoint, "d"), (open_proxies(name).endpoint, "p")):
        folder = tmp_path / side
        folder.mkdir()
        notes = Notes(CLIENTS[program](endpoint, store, folder), store, endpoint, f"cli-{number}-{side}", folder)
        notes.s3.create_bucket(Bucket=notes.bucket)
        WORK[program](notes)
        runs.append(notes.steps)
    found = compare.differences(*runs)
    assert not found, "\n".join(found)
    assert any(label.startswith("stored") for label, _ in runs[0]), f"nothing was stored: {runs[0]}"
