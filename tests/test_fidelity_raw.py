"""Requests that SDKs send only at times, byte by byte, directly and through Sealgate: aws-chunked bodies
with and without trailers, transfer codings, raw keys, odd but legal HTTP."""

import base64
import hashlib
import itertools
import zlib
from contextlib import suppress

import pytest

from harness import compare
from harness.boto import client
from harness.sigv4 import EMPTY, Signer
from harness.stores import STORES
from harness.wire import Answer, Wire

_number = itertools.count(1000)
BODY = bytes(range(256)) * 600
CALLS = {}


def case(run):
    CALLS[run.__name__] = run
    return run


class Raw:
    """Sends signed requests and notes the answers."""

    def __init__(self, store, address: str, bucket: str, direct: bool):
        self.store, self.address, self.bucket, self.direct = store, address, bucket, direct
        self.names = {bucket: "{bucket}", address: "{address}"}
        self.steps = []

    def signer(self) -> Signer:
        return Signer(self.store, self.address)

    def note(self, label: str, answer):
        xml = answer.body.startswith(b"<")
        self.steps.append((label, {
            "status": (answer.status, answer.reason),
            "headers": compare.headers(answer.headers, self.names, xml),
            "body": compare.body(answer.body, self.names),
        }))

    def send(self, label: str, method: str, target: str, headers: list[str], body: bytes = b"", coded: bool = False):
        # A store that refuses at the head and closes may take its answer away again with a reset. Sealgate may not.
        for _ in range(10 if self.direct else 1):
            if answer := self._once(method, target, headers, body, coded):
                break
        assert answer, "the answer was taken away"
        self.note(label, answer)
        return answer

    def _once(self, method: str, target: str, headers: list[str], body: bytes, coded: bool) -> Answer | None:
        """The answer; None where the store has taken it away."""
        gone = (ConnectionError, EOFError) if self.direct else ()
        with Wire(self.address, 30) as wire:
            wire.request(method, target, *headers, length=len(body) if body and not coded else None)
            with suppress(*gone):
                wire.send(body)
            with suppress(*gone):
                return wire.final(method)[1]
        return None

    def read(self, key: str):
        target = f"/{self.bucket}/{key}"
        self.send(f"read {key}", "GET", target, self.signer().headers("GET", target, EMPTY))


def _http_chunked(data: bytes) -> bytes:
    pieces = [data[i:i + 50000] for i in range(0, len(data), 50000)]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


def _crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


@case
def unsigned_payload(r: Raw):
    target = f"/{r.bucket}/k"
    r.send("PUT", "PUT", target, r.signer().headers("PUT", target, "UNSIGNED-PAYLOAD"), BODY)
    r.read("k")


@case
def wrong_hash(r: Raw):
    target = f"/{r.bucket}/k"
    r.send("PUT", "PUT", target, r.signer().headers("PUT", target, hashlib.sha256(b"other").hexdigest()), BODY)
    r.read("k")


def _trailer(r: Raw, chunked: bool, checksum: str):
    target = f"/{r.bucket}/k"
    more = {"x_amz_decoded_content_length": str(len(BODY)), "x_amz_trailer": "x-amz-checksum-crc32",
            "content_encoding": "aws-chunked"}
    body = f"{len(BODY):x}\r\n".encode() + BODY + f"\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    headers = r.signer().headers("PUT", target, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", **more)
    if chunked:
        r.send("PUT", "PUT", target, [*headers, "Transfer-Encoding: chunked"], _http_chunked(body), coded=True)
    else:
        r.send("PUT", "PUT", target, headers, body)
    r.read("k")


@case
def trailer(r: Raw):
    _trailer(r, False, _crc(BODY))


@case
def trailer_chunked(r: Raw):
    _trailer(r, True, _crc(BODY))


@case
def trailer_wrong(r: Raw):
    _trailer(r, False, _crc(b"other"))


@case
def trailer_wrong_chunked(r: Raw):
    _trailer(r, True, _crc(b"other"))


def _signed_chunks(r: Raw, damage: bool, with_trailer: bool):
    target = f"/{r.bucket}/k"
    signer = r.signer()
    payload, more = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", {}
    if with_trailer:
        payload, more = payload + "-TRAILER", {"x_amz_trailer": "x-amz-checksum-crc32"}
    headers = signer.headers("PUT", target, payload, content_encoding="aws-chunked",
                             x_amz_decoded_content_length=str(len(BODY)), **more)
    body = b"".join(signer.chunk(BODY[i:i + 65536]) for i in range(0, len(BODY), 65536))
    end = signer.chunk(b"")
    body += end[:-2] + signer.trailer(f"x-amz-checksum-crc32:{_crc(BODY)}") if with_trailer else end
    if damage:
        body = body[:1000] + b"\xff" + body[1001:]
    r.send("PUT", "PUT", target, headers, body)
    r.read("k")


@case
def signed_chunks(r: Raw):
    _signed_chunks(r, False, False)


@case
def signed_chunks_damaged(r: Raw):
    _signed_chunks(r, True, False)


@case
def signed_chunks_trailer(r: Raw):
    _signed_chunks(r, False, True)


@case
def coding_without_length(r: Raw):
    target = f"/{r.bucket}/k"
    r.send("PUT", "PUT", target, [*r.signer().headers("PUT", target, "UNSIGNED-PAYLOAD"), "Transfer-Encoding: chunked"],
           _http_chunked(BODY), coded=True)


@case
def no_length(r: Raw):
    target = f"/{r.bucket}/k"
    r.send("PUT", "PUT", target, r.signer().headers("PUT", target, EMPTY))
    r.read("k")


@case
def bad_signature(r: Raw):
    target = f"/{r.bucket}/k"
    headers = r.signer().headers("GET", target, EMPTY)
    headers[-1] = headers[-1][:-4] + ("0000" if headers[-1][-4:] != "0000" else "1111")
    r.send("GET", "GET", target, headers)


@case
def anonymous(r: Raw):
    r.send("GET", "GET", f"/{r.bucket}/k", [])
    r.send("LIST", "GET", f"/{r.bucket}", [])
    r.send("PUT", "PUT", f"/{r.bucket}/k", [], BODY)


@case
def raw_paths(r: Raw):
    # Signed as they stand: a proxy that changed a byte would break the signature.
    for key in ("a%20b", "a%2Fb", "a+b", "%E2%98%83", "x~y", "(b)!'*", "%7Etilde", "a//b", "a/%2e%2e/x", "lower%c3%bc"):
        target = f"/{r.bucket}/{key}"
        r.send(f"PUT {key}", "PUT", target, r.signer().headers("PUT", target, "UNSIGNED-PAYLOAD"), b"x" + key.encode())
        r.read(key)
    target = f"/{r.bucket}?list-type=2&prefix=a%20"
    r.send("LIST", "GET", target, r.signer().headers("GET", target, EMPTY))


@case
def options(r: Raw):
    target = f"/{r.bucket}/k"
    r.send("preflight", "OPTIONS", target, ["Origin: http://example.test", "Access-Control-Request-Method: PUT"])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", STORES)
def test_same(stores, open_proxies, name, call):
    store = stores(name)
    number = next(_number)
    runs = []
    for endpoint, side in ((store.endpoint, "d"), (open_proxies(name).endpoint, "p")):
        raw = Raw(store, endpoint.removeprefix("http://"), f"raw-{number}-{side}", side == "d")
        client(store.endpoint, store).create_bucket(Bucket=raw.bucket)
        CALLS[call](raw)
        runs.append(raw.steps)
    found = compare.differences(*runs)
    assert not found, "\n".join(found)
