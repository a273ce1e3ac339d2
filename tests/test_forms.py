"""POST forms: their fields decide, up to the file, and within bounds."""

import http.client
import itertools
from urllib.parse import urlsplit

import pytest

from harness.boto import client
from harness.rules import EXPECT, SSE
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

BOUNDARY = "----form7d1a"
TYPE = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
SIGNED = [("policy", "eyJ9"), ("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-date", "20260101T000000Z"),
          ("x-amz-credential", "AK/20260101/us-east-1/s3/aws4_request"), ("x-amz-signature", "00")]
SIGNED_V2 = [("policy", "eyJ9"), ("AWSAccessKeyId", "AK"), ("signature", "c2ln")]
FIELDS = [("key", "k"), *SIGNED]
SSE_FIELD = ("x-amz-server-side-encryption", "AES256")


def form(fields, content: bytes = b"the file", after=(), boundary: str = BOUNDARY) -> bytes:
    def part(name, value):
        return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()

    body = b"".join(part(n, v) for n, v in fields)
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/x\r\n\r\n'.encode()
    body += content + b"\r\n" + b"".join(part(n, v) for n, v in after)
    return body + f"--{boundary}--\r\n".encode()


def post(address: str, bucket: str, body: bytes, *lines: str):
    with Wire(address) as wire:
        wire.request("POST", f"/{bucket}", TYPE, *lines, body=body)
        return wire.final("POST")[1]


def test_form_without_the_field_is_denied(gate, fake):
    assert_refused(post(gate.address, "locked", form(FIELDS)))
    assert [s for s in fake.seen if s.complete] == []


def test_form_with_the_field_passes_byte_for_byte(gate, fake):
    body = form([*FIELDS, SSE_FIELD], bytes(range(256)) * 1000)
    assert post(gate.address, "locked", body).status == 200
    assert fake.last().body == body
    assert fake.last()["content-type"] == TYPE.partition(": ")[2]


@pytest.mark.parametrize("name", ["X-Amz-Server-Side-Encryption", "x-amz-server-side-encryption"])
def test_name_of_the_field_in_any_case(gate, fake, name):
    assert post(gate.address, "locked", form([*FIELDS, (name, "AES256")])).status == 200


def test_header_beside_the_form_does_not_count(gate, fake):
    assert_refused(post(gate.address, "locked", form(FIELDS), SSE))
    assert [s for s in fake.seen if s.complete] == []


def test_field_after_the_file_does_not_count(gate, fake):
    assert_refused(post(gate.address, "locked", form(FIELDS, after=[SSE_FIELD])))
    assert [s for s in fake.seen if s.complete] == []


def test_field_inside_the_file_does_not_count(gate, fake):
    inside = f'--other\r\nContent-Disposition: form-data; name="{SSE_FIELD[0]}"\r\n\r\nAES256\r\n'.encode()
    assert_refused(post(gate.address, "locked", form(FIELDS, inside)))
    assert [s for s in fake.seen if s.complete] == []


def test_field_twice_is_refused(gate, fake):
    answer = post(gate.address, "open", form([*FIELDS, SSE_FIELD, (SSE_FIELD[0], "aws:kms")]))
    assert answer.status == 400, answer
    assert [s for s in fake.seen if s.complete] == []


def test_field_is_validated(gate, fake):
    assert_refused(post(gate.address, "open", form([*FIELDS, (SSE_FIELD[0], "AES192")])), 400, "InvalidArgument")


def test_key_of_the_form_decides(gate, fake):
    fields = [(n, v) for n, v in FIELDS if n != "key"]
    assert_refused(post(gate.address, "split", form([("key", "secret/k"), *fields])))
    assert post(gate.address, "split", form([("key", "other/k"), *fields])).status == 200


def test_key_with_the_name_of_the_file(gate, fake):
    fields = [(n, v) for n, v in FIELDS if n != "key"]
    body = form([("key", "secret/${filename}"), *fields])
    assert_refused(post(gate.address, "split", body))
    body = form([("key", "${filename}"), *fields]).replace(b'filename="f"', b'filename="secret/f"')
    answer = post(gate.address, "split", body)
    assert answer.status in (400, 403), answer
    assert [s for s in fake.seen if s.complete] == []


def test_form_to_a_bucket_without_a_rule(gate, fake):
    assert_refused(post(gate.address, "unruled", form(FIELDS)))
    assert fake.seen == []


def test_fields_are_bounded(gate, fake):
    body = form([*FIELDS, ("x-amz-meta-long", "m" * 30_000), SSE_FIELD])
    answer = post(gate.address, "locked", body)
    assert answer.status == 400, answer
    assert [s for s in fake.seen if s.complete] == []


def test_bound_is_the_configured_one(gates, fake):
    gate = gates("form", limits={"form_bytes": "1KiB"})
    answer = post(gate.address, "locked", form([*FIELDS, ("x-amz-meta-long", "m" * 2000), SSE_FIELD]))
    assert answer.status == 400
    assert post(gate.address, "locked", form([*FIELDS, SSE_FIELD], b"x" * 100_000)).status == 200


BROKEN = {
    "no parts": b"nonsense",
    "empty": b"--" + BOUNDARY.encode() + b"--\r\n",
    "no file": form(FIELDS).split(b"--" + BOUNDARY.encode() + b'\r\nContent-Disposition: form-data; name="file"')[0]
    + f"--{BOUNDARY}--\r\n".encode(),
    "no key": form([f for f in FIELDS if f[0] != "key"]),
    "other boundary": form(FIELDS, boundary="other"),
    "no name": f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nv\r\n".encode() + form(FIELDS),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("bucket", ["locked", "open"])
def test_broken_form(gate, fake, body, bucket):
    answer = post(gate.address, bucket, body)
    if bucket == "open" and answer.status == 200:
        pytest.fail("a form that cannot be read cannot be decided")
    assert answer.status in (400, 403, 412), answer
    assert [s for s in fake.seen if s.complete] == []


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x",
                                  "application/x-www-form-urlencoded", "MULTIPART/FORM-DATA; BOUNDARY"])
def test_content_type_that_is_no_form(gate, fake, kind):
    with Wire(gate.address) as wire:
        wire.request("POST", "/open", f"Content-Type: {kind}", body=form(FIELDS))
        answer = wire.final("POST")[1]
        assert answer.status in (400, 405, 411, 412, 415, 501), answer
    assert [s for s in fake.seen if s.complete] == []


def test_parameters_beside_the_boundary(gate, fake):
    with Wire(gate.address) as wire:
        body = form([*FIELDS, SSE_FIELD])
        wire.request("POST", "/locked", f"content-type: Multipart/Form-Data; charset=utf-8; boundary={BOUNDARY}", body=body)
        assert wire.final("POST")[1].status == 200
    assert fake.last().body == body


def test_quoted_boundary_is_refused_as_s3_does(gate, fake):
    with Wire(gate.address) as wire:
        wire.request("POST", "/locked", f'Content-Type: multipart/form-data; boundary="{BOUNDARY}"', body=form([*FIELDS, SSE_FIELD]))
        assert wire.final("POST")[1].status == 400
    assert [s for s in fake.seen if s.complete] == []


@pytest.mark.parametrize("name, value", [("key", " secret/k"), ("key", "\tsecret/k"), ("key", "k "), ("key", "k\r\n"), ("key", "\u3000k"),
                                         ("acl", " public-read"), SSE_FIELD[:1] + ("AES256 ",)])
def test_what_some_stores_trim_is_refused(gate, fake, name, value):
    """Ceph RGW takes white space away: the key would be another one."""
    fields = [field for field in FIELDS if field[0] != name]
    assert_refused(post(gate.address, "split", form([(name, value), *fields])), 400, "InvalidArgument")
    assert [s for s in fake.seen if s.complete] == []


@pytest.mark.parametrize("filename", ["f", ""])
@pytest.mark.parametrize("bucket", ["locked", "open"])
def test_field_with_the_name_of_a_file_is_refused(gate, fake, bucket, filename):
    """Go's reader takes it for a file, not for a field."""
    body = form([*FIELDS, (f'{SSE_FIELD[0]}"; filename="{filename}', "AES256")])
    assert_refused(post(gate.address, bucket, body), 400, "MalformedPOSTRequest")
    assert [s for s in fake.seen if s.complete] == []


NAMED = "Content-Disposition: form-data; name="


def raw_form(*parts: tuple[str, str], file: str = f'{NAMED}"file"; filename="f"', after: str = "") -> bytes:
    """Each with its headers as they are given."""
    body = "".join(f"--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n" for head, value in parts)
    return (body + f"--{BOUNDARY}\r\n{file}\r\n\r\njunk\r\n{after}--{BOUNDARY}--\r\n").encode()


KEY = (f'{NAMED}"key"', "open/k")
HIDDEN_KEY = f'{NAMED}"key"\r\n\r\nsecret/k\r\n'
#: What stores' own readers take for another key, or for none of the file that is looked at here.
READ_DIFFERENTLY = {
    "white space behind a boundary": raw_form(KEY, after=f"--{BOUNDARY} \r\n{HIDDEN_KEY}"),
    "tab behind a boundary": raw_form(KEY, after=f"--{BOUNDARY}\t\r\n{HIDDEN_KEY}"),
    "boundary behind LF": raw_form(KEY, after=f"x\n--{BOUNDARY}\r\n{HIDDEN_KEY}"),
    "after the last boundary": raw_form(KEY, after=f"--{BOUNDARY}--\r\n--{BOUNDARY}\r\n{HIDDEN_KEY}"),
    "File": raw_form(KEY, file=f'{NAMED}"File"; filename="x"'),
    "; within quotes": raw_form(KEY, (f'{NAMED}"x;name=key;y"', "secret/k")),
    "; within a file's name": raw_form(KEY, after=f'--{BOUNDARY}\r\n{NAMED}"zz"; filename="x; name=file; y"\r\n\r\nDATA\r\n'),
    "file's name first": raw_form(KEY, file='Content-Disposition: form-data; filename="x; name=key; y"; name="file"'),
    "NAME": raw_form(('Content-Disposition: form-data; NAME="key"', "open/k")),
    "no quotes": raw_form((f"{NAMED}key", "open/k")),
    "byte order mark": raw_form((KEY[0], "\ufeffsecret/k")),
    "charset": raw_form((f"Content-Type: text/plain; charset=iso-2022-jp\r\n{KEY[0]}", "s\x1b(Becret/k")),
    "bytes beyond a charset": raw_form((f"Content-Type: text/plain; charset=iso-8859-1\r\n{KEY[0]}", "open/\u00e4")),
}


@pytest.mark.parametrize("how", READ_DIFFERENTLY)
def test_forms_that_stores_read_differently_are_refused(gate, fake, how):
    answer = post(gate.address, "split", READ_DIFFERENTLY[how])
    assert answer.status == 400, answer
    assert [s for s in fake.seen if s.complete] == []


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=US-ASCII", '; charset="ISO-8859-1"'])
def test_charsets_that_clients_send(gate, fake, charset):
    """aiohttp and Apache's client name one in each field."""
    assert post(gate.address, "split", raw_form((f"Content-Type: text/plain{charset}\r\n{KEY[0]}", "open/k"))).status == 200
    assert fake.last().complete


def test_form_in_small_pieces(gate, fake):
    body = form([*FIELDS, SSE_FIELD], b"x" * 500)
    with Wire(gate.address) as wire:
        wire.request("POST", "/locked", TYPE, length=len(body))
        for i in range(0, len(body), 7):
            wire.send(body[i:i + 7])
        assert wire.answer("POST").status == 200
    assert fake.last().body == body


def test_form_with_expect(gate, fake):
    body = form([*FIELDS, SSE_FIELD])
    with Wire(gate.address) as wire:
        wire.request("POST", "/locked", TYPE, EXPECT, length=len(body))
        assert wire.answer("POST").status == 100
        wire.send(body)
        interim, answer = wire.final("POST")
        assert interim == [] and answer.status == 200
    assert fake.last().body == body


def test_chunked_form(gate, fake):
    body = form([*FIELDS, SSE_FIELD])
    with Wire(gate.address) as wire:
        wire.request("POST", "/locked", TYPE, "Transfer-Encoding: chunked")
        wire.send(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert wire.answer("POST").status == 200
    assert fake.last().body == body


def test_large_file_behind_denied_fields(gate, fake):
    body = form(FIELDS, b"x" * 20_000_000)
    with Wire(gate.address, 30) as wire:
        wire.request("POST", "/locked", TYPE, body=body)
        assert_refused(wire.answer("POST"), closes=True)
        assert wire.ends()
    assert [s for s in fake.seen if s.complete] == []


def test_both_readings_of_the_file_s_name_decide(gates, fake):
    """versitygw does not put the file's name into `${filename}`: the literal key must be allowed as well."""
    proxy = gates("two-keys", rules=[{"bucket": "*", "prefix": "of"}, {"bucket": "*", "require": "any"}])
    body = form([("key", "o${filename}")])
    with Wire(proxy.address) as wire:
        wire.request("POST", "/b", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", body=body)
        assert wire.final("POST")[1].status == 403
    assert not fake.seen


APP, OTHER = ("arn:aws:iam::111122223333:user/" + name for name in ("app", "other"))


def deny(sid: str, principal, **conditions) -> dict:
    statement = {"Sid": sid, "Effect": "Deny", "Principal": principal, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{sid.lower()}-*/*"}
    return {**statement, **({"Condition": conditions} if conditions else {})}


#: Each denies what a form says of its signer, in the buckets that begin with its Sid.
SIGNER = {"Version": "2012-10-17", "Statement": [
    deny("Principal", {"AWS": APP}),
    deny("Arn", "*", ArnEquals={"aws:PrincipalArn": APP}),
    deny("Username", "*", StringEquals={"aws:username": "app"}),
    deny("Account", "*", StringEquals={"aws:PrincipalAccount": "111122223333"}),
    deny("Type", "*", StringEquals={"s3:authType": "POST"}),
    deny("V2", "*", StringEquals={"s3:signatureversion": "AWS"}),
    deny("V4", "*", StringEquals={"s3:signatureversion": "AWS4-HMAC-SHA256"}),
    deny("Age", "*", NumericLessThan={"s3:signatureAge": "600000"}),
    deny("Old", "*", NumericGreaterThan={"s3:signatureAge": "600000"}),
    deny("Elsewhere", {"AWS": OTHER}),
]}
#: By bucket: whom it refuses, of the forms of `app` in Version 4 and in Version 2.
REFUSES = {"principal": "42", "arn": "42", "username": "42", "account": "42", "type": "42", "v2": "2", "v4": "4", "age": "42",
           "old": "", "elsewhere": ""}
_number = itertools.count(1)


@pytest.fixture(scope="module")
def signers(scratch, stores):
    store = stores("minio")
    clients = [{"access_key": store.access_key, "principal": APP}, {"access_key": "AK", "principal": APP},
               {"access_key": "AKOTHER", "principal": OTHER}]
    with Sealgate(scratch / "signers", store.endpoint, [{"bucket": "*", "policy": SIGNER}], clients=clients) as proxy:
        yield store, proxy


@pytest.mark.parametrize("version", ["4", "2"])
@pytest.mark.parametrize("kind", REFUSES)
def test_the_form_says_who_signed(signers, kind, version):
    """A real presigned POST of boto3 at a real store: the policy sees its signer, and so does the audit file."""
    store, proxy = signers
    bucket = f"{kind}-{next(_number)}"
    direct = client(store.endpoint, store)
    direct.create_bucket(Bucket=bucket)
    s3 = client(proxy.endpoint, store, signature_version="s3v4" if version == "4" else "s3")
    signed = s3.generate_presigned_post(bucket, "k")
    proxy.mark()
    link = http.client.HTTPConnection(proxy.address, timeout=20)
    link.request("POST", urlsplit(signed["url"]).path, form(signed["fields"].items()), {"Content-Type": TYPE.partition(": ")[2]})
    answer = link.getresponse()
    body = answer.read()
    link.close()
    refused = version in REFUSES[kind]
    assert answer.status == (403 if refused else 204), body
    line = proxy.audit_new()[-1]
    assert line["principal"] == APP and line["verified"] is False, line
    assert line["sid"] == (kind.capitalize() if refused else None), line
    held = [e["Key"] for e in direct.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert held == ([] if refused else ["k"])


def without(fields, name: str):
    return [field for field in fields if field[0] != name]


CLAIMS = {
    **{f"version 4 without {name}": without(SIGNED, name) for name, _ in SIGNED},
    **{f"version 2 without {name}": without(SIGNED_V2, name) for name, _ in SIGNED_V2},
    "both versions": SIGNED + SIGNED_V2[1:],
    "a second access key": SIGNED + SIGNED_V2[1:2],
    "the credential twice": SIGNED + [("X-Amz-Credential", "AKOTHER/20260101/us-east-1/s3/aws4_request")],
    "no credential": without(SIGNED, "x-amz-credential") + [("x-amz-credential", "AK")],
    "no algorithm": without(SIGNED, "x-amz-algorithm") + [("x-amz-algorithm", "none")],
    "no date": without(SIGNED, "x-amz-date") + [("x-amz-date", "now")],
    "no signature": without(SIGNED, "x-amz-signature") + [("x-amz-signature", "")],
}


@pytest.mark.parametrize("fields", CLAIMS.values(), ids=CLAIMS)
def test_half_a_claim_is_refused(gate, fake, fields):
    assert_refused(post(gate.address, "open", form([("key", "k"), *fields])), 400, "InvalidArgument")
    assert [s for s in fake.seen if s.complete] == []


AUTHORIZATION = "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"


@pytest.mark.parametrize("fields", [SIGNED, SIGNED_V2], ids=["version 4", "version 2"])
def test_two_signers_are_refused(gate, fake, fields):
    """The head's signature and the form's: stores could believe either."""
    answer = post(gate.address, "open", form([("key", "k"), *fields]), AUTHORIZATION.format("AK"))
    assert_refused(answer, 400, "InvalidArgument")
    assert [s for s in fake.seen if s.complete] == []


def test_a_signed_head_beside_a_form_is_refused(gates, fake):
    """Stores look at the form alone: the head's signer may have nothing to do with it, and must lift no Deny."""
    clients = [{"access_key": "AK", "principal": APP}, {"access_key": "AKOTHER", "principal": OTHER}]
    proxy = gates("form-head", rules=[{"bucket": "*", "policy": SIGNER}], clients=clients)
    body = form([("key", "k")])
    for key in ("AK", "AKOTHER"):
        assert_refused(post(proxy.address, "principal-1", body, AUTHORIZATION.format(key)), 400, "InvalidArgument")
    assert not fake.seen
    assert post(proxy.address, "principal-1", body).status == 200


def test_an_old_form_is_refused_by_its_age(gates, fake):
    clients = [{"access_key": "AK", "principal": APP}]
    proxy = gates("form-age", rules=[{"bucket": "*", "policy": SIGNER}], clients=clients)
    assert_refused(post(proxy.address, "old-1", form([("key", "k"), *SIGNED])))
    assert not fake.seen
    assert post(proxy.address, "old-1", form([("key", "k"), *SIGNED_V2])).status == 200
