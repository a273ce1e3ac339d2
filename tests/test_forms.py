"""POST forms: their fields decide, up to the file, and within bounds."""

import pytest

from harness.rules import EXPECT, SSE
from harness.wire import Wire, assert_refused

BOUNDARY = "----form7d1a"
TYPE = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
FIELDS = [("key", "k"), ("policy", "eyJ9"), ("x-amz-signature", "00")]
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
