"""Tags in a body: read where a policy asks for them, and decided before the store sees any of it."""

import pytest
from botocore.exceptions import ClientError

from harness.boto import client
from harness.rules import EXPECT
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

POLICY = {"Version": "2012-10-17", "Statement": [
    {"Sid": "Bad", "Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", "s3:PutObjectTagging"], "Resource": "arn:aws:s3:::tags/*",
     "Condition": {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["Bad"]}}},
    {"Sid": "Tier", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectTagging", "Resource": "arn:aws:s3:::tags/tier/*",
     "Condition": {"StringNotEquals": {"s3:RequestObjectTag/tier": "raw"}}},
]}
RULES = [{"bucket": "tags", "policy": POLICY}, {"bucket": "*"}]


def document(**tags) -> bytes:
    inner = "".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags.items())
    return f'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>{inner}</TagSet></Tagging>'.encode()


def put(address: str, target: str, body: bytes, *lines: str):
    with Wire(address) as wire:
        wire.request("PUT", target, *lines, body=body)
        return wire.final("PUT")[1]


@pytest.fixture
def proxy(gates, fake):
    return gates("tags", rules=RULES, limits={"xml_bytes": "4KiB"})


@pytest.mark.parametrize("target,tags,sid", [
    ("/tags/k?tagging", {"good": "1"}, None),
    ("/tags/k?tagging", {}, None),
    ("/tags/k?tagging", {"good": "1", "Bad": "1"}, "Bad"),
    ("/tags/tier/k?tagging", {"tier": "raw"}, None),
    ("/tags/tier/k?tagging", {"tier": "done"}, "Tier"),
    ("/tags/tier/k?tagging", {}, "Tier"),
    ("/other/k?tagging", {"Bad": "1"}, None),
])
def test_tags_of_the_body_decide(proxy, fake, target, tags, sid):
    body = document(**tags)
    answer = put(proxy.address, target, body)
    if sid:
        assert_refused(answer)
        assert "leave out" not in answer.xml()["Message"] and "body" in answer.xml()["Message"], answer
        assert [s for s in fake.seen if s.complete] == []
        line = proxy.audit_of(answer["x-amz-request-id"])
        assert (line["operation"], line["decision"], line["sid"]) == ("PutObjectTagging", "deny", sid), line
    else:
        assert answer.status == 200, answer
        assert fake.last().body == body


@pytest.mark.parametrize("body", [b"", b"nonsense", document(a="1")[:-3], b"<Tagging/>", document(a="1") * 2,
                                  document(a="1").replace(b"</TagSet>", b"<Tag><Key>a</Key><Value>2</Value></Tag></TagSet>")])
def test_a_body_that_is_none(proxy, fake, body):
    assert_refused(put(proxy.address, "/tags/k?tagging", body), 400, "MalformedXML")
    assert [s for s in fake.seen if s.complete] == []


def test_no_body_at_all(proxy, fake):
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/tags/k?tagging")
        answer = wire.final("PUT")[1]
    assert answer.status in (400, 411), answer
    assert [s for s in fake.seen if s.complete] == []


def test_the_body_is_bounded(proxy, fake):
    assert put(proxy.address, "/tags/k?tagging", document(good="x" * 5000)).status == 400
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/tags/k?tagging", "Transfer-Encoding: chunked")
        body = document(good="x" * 5000)
        wire.send(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert wire.final("PUT")[1].status == 400
    assert [s for s in fake.seen if s.complete] == []
    # Where nobody asks, nothing is read.
    assert put(proxy.address, "/other/k?tagging", document(good="x" * 5000)).status == 200


def test_with_expect(proxy, fake):
    body = document(good="1")
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/tags/k?tagging", EXPECT, length=len(body))
        assert wire.answer("PUT").status == 100
        wire.send(body)
        interim, answer = wire.final("PUT")
        assert interim == [] and answer.status == 200
    assert fake.last().body == body


def test_a_real_client_and_store(scratch, stores):
    store = stores("minio")
    direct = client(store.endpoint, store)
    direct.create_bucket(Bucket="tags")
    direct.put_object(Bucket="tags", Key="k", Body=b"x")
    with Sealgate(scratch / "tags-minio", store.endpoint, RULES) as proxy:
        s3 = client(proxy.endpoint, store)
        s3.put_object_tagging(Bucket="tags", Key="k", Tagging={"TagSet": [{"Key": "good", "Value": "1"}]})
        with pytest.raises(ClientError) as refused:
            s3.put_object_tagging(Bucket="tags", Key="k", Tagging={"TagSet": [{"Key": "Bad", "Value": "1"}]})
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
        assert s3.get_object_tagging(Bucket="tags", Key="k")["TagSet"] == [{"Key": "good", "Value": "1"}]
