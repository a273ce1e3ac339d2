"""The handshake in front of real stores, seen at the socket."""

import hashlib
import io
import itertools

import pytest

from harness.boto import client
from harness.rules import EXPECT
from harness.sigv4 import EMPTY, Signer
from harness.stores import STORES
from harness.wire import Wire, assert_refused

_number = itertools.count(1)
BODY = b"body " * 2000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Way:
    """A bucket of a store, reached through Sealgate with signed requests."""

    def __init__(self, store, proxy):
        self.store, self.address = store, proxy.address
        self.bucket = f"hand-{next(_number)}"
        self.direct = client(store.endpoint, store)
        self.direct.create_bucket(Bucket=self.bucket)
        self.s3 = client(proxy.endpoint, store)

    def put(self, wire: Wire, target: str, payload: str = SHA256, *more: str, length: int | None = len(BODY), **signed: str):
        signer = Signer(self.store, self.address)
        wire.request("PUT", target, *signer.headers("PUT", target, payload, **signed), *more, length=length)

    def get(self, wire: Wire, target: str):
        wire.request("GET", target, *Signer(self.store, self.address).headers("GET", target, EMPTY))
        return wire.final("GET")[1]


@pytest.fixture(params=STORES)
def way(request, stores, open_proxies) -> Way:
    return Way(stores(request.param), open_proxies(request.param))


def test_one_100_then_200(way):
    with Wire(way.address) as wire:
        for number in range(3):
            way.put(wire, f"/{way.bucket}/k{number}", SHA256, EXPECT)
            assert wire.answer().status_line == "HTTP/1.1 100 Continue"
            wire.send(BODY)
            interim, answer = wire.final()
            assert interim == [] and answer.status == 200, answer
            if (answer["connection"] or "").lower() == "close":
                break
    got = way.direct.get_object(Bucket=way.bucket, Key="k0")
    assert got["Body"].read() == BODY


def refused_early(way: Way, target: str, status: int, code: str, damage: bool = False):
    """A PUT with Expect that the store refuses: at once, where the store itself does so."""

    def first(address: str, wire: Wire):
        headers = Signer(way.store, address).headers("PUT", target, SHA256)
        if damage:
            headers[-1] = headers[-1][:-8] + ("00000000" if headers[-1][-8:] != "00000000" else "11111111")
        wire.request("PUT", target, *headers, EXPECT, length=len(BODY))
        return wire.answer()

    with Wire(way.store.address) as wire:
        directly = first(way.store.address, wire)
    with Wire(way.address) as wire:
        answer = first(way.address, wire)
        assert answer.status == directly.status, (answer, directly)
        if answer.status == 100:
            # This store looks at nothing before the body.
            wire.send(BODY)
            answer = wire.answer()
        assert (answer.status, answer.code) == (status, code), answer
        if directly.status != 100:
            assert answer["connection"].lower() == "close", answer
            assert wire.ends()


def test_early_404_and_the_connection_ends(way):
    if way.store.name == "embedded":
        return refused_early(way, f"/{way.bucket}/k", 403, "SignatureDoesNotMatch", damage=True)  # it makes missing buckets
    for number in range(3):
        refused_early(way, "/no-such-bucket-here/k", 404, "NoSuchBucket")
        with Wire(way.address) as wire:
            way.put(wire, f"/{way.bucket}/after{number}", SHA256)
            wire.send(BODY)
            assert wire.final()[1].status == 200


def test_bad_signature_is_the_store_s_to_refuse(way):
    code = "AccessDenied" if way.store.name == "garage" else "SignatureDoesNotMatch"
    refused_early(way, f"/{way.bucket}/k", 403, code, damage=True)


def test_empty_put_with_expect(way):
    with Wire(way.address) as wire:
        way.put(wire, f"/{way.bucket}/empty", EMPTY, EXPECT, length=0)
        interim, answer = wire.final()
        assert len(interim) <= 1 and answer.status == 200, answer
        if (answer["connection"] or "").lower() != "close":
            assert way.get(wire, f"/{way.bucket}/empty").status == 200
    assert way.direct.head_object(Bucket=way.bucket, Key="empty")["ContentLength"] == 0


def test_boto3_goes_on_after_an_early_refusal(way):
    # A connection that is kept after an early answer makes the next request the missing body.
    for number in range(5):
        if way.store.name != "embedded":  # which makes the bucket
            with pytest.raises(way.s3.exceptions.ClientError) as failed:
                way.s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=io.BytesIO(BODY))
            assert failed.value.response["Error"]["Code"] in ("NoSuchBucket", "404"), failed.value.response
        way.s3.put_object(Bucket=way.bucket, Key=f"k{number}", Body=io.BytesIO(BODY))
        assert way.s3.get_object(Bucket=way.bucket, Key=f"k{number}")["Body"].read() == BODY


def test_many_at_once(way):
    from concurrent.futures import ThreadPoolExecutor

    def work(number: int) -> bool:
        key = f"many/{number}"
        body = bytes([number % 256]) * (number * 997 % 70_000 + 1)
        way.s3.put_object(Bucket=way.bucket, Key=key, Body=io.BytesIO(body))
        return way.s3.get_object(Bucket=way.bucket, Key=key)["Body"].read() == body

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


def test_method_that_s3_does_not_have(way):
    with Wire(way.address) as wire:
        wire.request("PATCH", f"/{way.bucket}/k", length=None)
        assert_refused(wire.answer("PATCH"), 405, "MethodNotAllowed")
