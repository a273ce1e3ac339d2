"""What a store has written though it did not say so: after an error, or after no answer."""

import time
from email.utils import formatdate

import pytest
from botocore.exceptions import ClientError

from harness.boto import client
from harness.fakestore import respond
from harness.process import wait_until
from harness.sealgate import Sealgate
from harness.wire import Wire

RULES = [{"bucket": "locked*", "require": "any"}, {"bucket": "deleted", "require": "any", "unconfirmed": "delete"},
         {"bucket": "reported", "require": "any", "unconfirmed": "report"}, {"bucket": "source"}]
SSE = "Host: h\r\nx-amz-server-side-encryption: AES256\r\n"
PUT = f"PUT /locked/k HTTP/1.1\r\n{SSE}Content-Length: 6\r\n\r\nsecret"
COPY = f"PUT /locked/k HTTP/1.1\r\n{SSE}x-amz-copy-source: /source/k\r\n\r\n"
COMPLETE = "POST /locked/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n<x/>"
FORM = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in
               [("key", "k"), ("x-amz-server-side-encryption", "AES256")])
FORM += '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nsecret\r\n--x--\r\n'
FORM = f"POST /locked HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(FORM)}\r\n\r\n{FORM}"


@pytest.fixture(scope="module")
def gates(scratch, _fake):
    """With credentials of its own, and without."""
    running = {}
    for credentials in (True, False):
        gate = Sealgate(scratch / f"leftover-{credentials}", _fake.endpoint, RULES)
        gate.config["store"]["response_timeout"] = "1s"
        if credentials:
            gate.config["store"]["credentials"] = {"access_key": "own", "secret_key": "own-secret"}
        running[credentials] = gate.start()
    yield running
    for gate in running.values():
        gate.stop()


class Store:
    """Answers a client's request by `answers` and Sealgate's own by an object written `age` seconds ago, encrypted or not;
    none where there is no age."""

    def __init__(self, answers, age: float | None = 0, encrypted: bool = False):
        self.answers, self.age, self.encrypted = answers, age, encrypted
        self.asked = []

    def __call__(self, link, seen):
        if seen["user-agent"] != "sealgate":
            return self.answers(link, seen)
        self.asked.append(seen.method)
        if self.age is None:
            return respond(link, "404 Not Found", seen=seen)
        now = time.time()
        sse = ["x-amz-server-side-encryption: AES256"] if self.encrypted else []
        # Its clock is an hour late.
        return respond(link, "200 OK", 'ETag: "e"', f"Date: {formatdate(now - 3600, usegmt=True)}",
                       f"Last-Modified: {formatdate(now - 3600 - self.age, usegmt=True)}", *sse, seen=seen)


def says(status: str):
    def answers(link, seen):
        link.read_body(seen)
        return respond(link, status, seen=seen)
    return answers


def closes_at_once(link, seen):
    return False


def refuses_with_502(link, seen):
    respond(link, "502 Bad Gateway", seen=seen)
    return False


def refuses_at_once(link, seen):
    respond(link, "400 Bad Request", seen=seen)
    return False


def closes(link, seen):
    link.read_body(seen)
    return False


def closes_in_the_head(link, seen):
    link.read_body(seen)
    link.send("HTTP/1.1 200 OK\r\nETag:")
    return False


def is_silent(link, seen):
    link.read_body(seen)
    while link._more():
        pass
    return False


def drops(link, seen):
    """As a proxy before a store does whose client sends no more."""
    while link._more():
        pass
    return False


def ask(gate, request: str) -> tuple[int, dict, float]:
    before = gate.metric("sealgate_store_unconfirmed_total")
    gate.mark()
    with Wire(gate.address) as wire:
        wire.send(request)
        answer = wire.answer(request.partition(" ")[0])
    return answer.status, gate.audit_new()[0], gate.metric("sealgate_store_unconfirmed_total") - before


@pytest.mark.parametrize("request_text", [PUT, COPY, COMPLETE, FORM], ids=["put", "copy", "complete", "form"])
@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Internal Server Error"])
def test_an_error_after_a_write(gates, fake, status, request_text):
    fake.behave = Store(says(status))
    answer, line, counted = ask(gates[True], request_text)
    assert (answer, line["status"], line["decision"], line["reason"], counted) == (501, 501, "error", "unconfirmed", 1)
    assert f"answered {status[:3]}" in line["error"] and "left there" in line["error"] and line["store_request_id"]
    assert fake.behave.asked == ["HEAD"]


@pytest.mark.parametrize("store", [
    Store(says("400 Bad Request"), age=60), Store(says("400 Bad Request"), encrypted=True), Store(says("400 Bad Request"), age=None),
], ids=["older", "encrypted", "nothing"])
@pytest.mark.parametrize("request_text", [PUT, COPY], ids=["put", "copy"])
def test_an_error_that_left_nothing(gates, fake, store, request_text):
    fake.behave = store
    store.asked.clear()
    answer, line, counted = ask(gates[True], request_text)
    assert (answer, line["status"], line["decision"], line["reason"], counted) == (400, 400, "allow", None, 0)
    assert store.asked == ["HEAD"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "409 Conflict", "412 Precondition Failed",
                                    "429 Too Many Requests", "503 Slow Down"])
def test_an_error_that_is_no_writes(gates, fake, status):
    """It says who may not, that another object is there, or that there is no time: a look would tell nothing, or make it worse."""
    fake.behave = Store(says(status))
    answer, line, counted = ask(gates[True], PUT)
    assert (answer, line["decision"], line["reason"], counted) == (int(status[:3]), "allow", None, 0)
    assert fake.behave.asked == []


@pytest.mark.parametrize("request_text", [COPY, COMPLETE], ids=["copy", "complete"])
def test_an_error_that_begins_as_a_success(gates, fake, request_text):
    """As S3 tells it once it has begun to answer."""
    def answers(link, seen):
        link.read_body(seen)
        return respond(link, "200 OK", body=b"<Error><Code>InternalError</Code></Error>", seen=seen)

    for age in (0, None):
        fake.behave = Store(answers, age=age)
        answer, line, counted = ask(gates[True], request_text)
        expected = (200, "allow", None, 0) if age is None else (501, "error", "unconfirmed", 1)
        assert (answer, line["decision"], line["reason"], counted) == expected
        assert fake.behave.asked == ["HEAD"]
    # A part is no object.
    fake.behave = Store(answers)
    answer, line, counted = ask(gates[True], COPY.replace("/k ", "/k?partNumber=1&uploadId=u ").replace("x-amz-server-side-encryption: AES256\r\n", ""))
    assert (answer, line["operation"], line["reason"], counted, fake.behave.asked) == (200, "UploadPartCopy", None, 0, [])


def test_a_look_that_takes_its_time(gates, fake):
    """The age of what is found is told by the end of the look."""
    class Slow(Store):
        def __call__(self, link, seen):
            if seen["user-agent"] == "sealgate":
                time.sleep(2)
                self.age = 6
            return super().__call__(link, seen)

    fake.behave = Slow(says("400 Bad Request"))
    gate = Sealgate(gates[True].folder.with_name("leftover-slow"), fake.endpoint, RULES)
    gate.config["store"]["credentials"] = gates[True].config["store"]["credentials"]
    with gate:
        answer, line, counted = ask(gate, PUT)
    assert (answer, counted) == (501, 1)


@pytest.mark.parametrize("answers, expected", [(says("400 Bad Request"), (400, "allow", None, 0)), (closes, (503, "error", "unconfirmed", 1))],
                         ids=["error", "no answer"])
@pytest.mark.parametrize("status", ["403 Forbidden", "500 Internal Server Error", None])
def test_a_look_that_tells_nothing(gates, fake, status, answers, expected):
    """An error is believed then. Without any answer nothing is known."""
    class Closed(Store):
        def __call__(self, link, seen):
            if seen["user-agent"] != "sealgate":
                return super().__call__(link, seen)
            return respond(link, status, seen=seen) if status else False

    fake.behave = Closed(answers)
    answer, line, counted = ask(gates[True], PUT)
    assert (answer, line["decision"], line["reason"], counted) == expected
    assert "is not known" in line["error"] and (status or "failed")[:3] in line["error"]


VERSIONS = """<?xml version="1.0"?><ListVersionsResult>
<DeleteMarker><Key>k</Key><VersionId>d</VersionId><LastModified>{now}</LastModified></DeleteMarker>
<Version><Key>k</Key><VersionId>v2</VersionId><LastModified>{now}</LastModified></Version>
<Version><Key>k</Key><VersionId>v1</VersionId><LastModified>{before}</LastModified></Version>
<Version><Key>k2</Key><VersionId>v0</VersionId><LastModified>{now}</LastModified></Version>
</ListVersionsResult>"""


@pytest.mark.parametrize("hidden_by", ["delete", "write"])
@pytest.mark.parametrize("plain, counts", [("v2", True), ("v1", False), ("v0", False), (None, False)], ids=["its own", "older", "another key's", "none"])
def test_a_version_that_is_hidden(gates, fake, plain, counts, hidden_by):
    """Somebody deletes or writes the key before it is looked at."""
    class Versions(Store):
        def __call__(self, link, seen):
            if seen["user-agent"] != "sealgate":
                return super().__call__(link, seen)
            self.asked.append(f"{seen.method} {seen.target}")
            now = time.time() - 3600
            date = f"Date: {formatdate(now, usegmt=True)}"
            if seen.method == "GET":
                text = [time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at)) for at in (now, now - 600)]
                return respond(link, "200 OK", date, body=VERSIONS.format(now=text[0], before=text[1]).encode(), seen=seen)
            _, _, version = seen.target.partition("?versionId=")
            if not version and hidden_by == "delete":
                return respond(link, "404 Not Found", date, "x-amz-delete-marker: true", seen=seen)
            sse = ["x-amz-version-id: v3"] if not version else []
            sse += [] if version and version == plain else ["x-amz-server-side-encryption: AES256"]
            return respond(link, "200 OK", date, f"Last-Modified: {formatdate(now, usegmt=True)}", *sse, seen=seen)

    fake.behave = Versions(says("400 Bad Request"))
    answer, line, counted = ask(gates[True], PUT)
    assert (answer, line["reason"], counted) == ((501, "unconfirmed", 1) if counts else (400, None, 0))
    assert fake.behave.asked == ["HEAD /locked/k", "GET /locked/?max-keys=50&prefix=k&versions=", "HEAD /locked/k?versionId=v2"]


@pytest.mark.parametrize("versions, status", [(9, "200 OK"), (1, "403 Forbidden")], ids=["too many", "may not be read"])
def test_versions_that_cannot_be_looked_at(gates, fake, versions, status):
    class Versions(Store):
        def __call__(self, link, seen):
            if seen["user-agent"] != "sealgate":
                return super().__call__(link, seen)
            if seen.method == "GET":
                one = "<Version><Key>k</Key><VersionId>v</VersionId></Version>"
                return respond(link, "200 OK", body=f"<ListVersionsResult>{one * versions}</ListVersionsResult>".encode(), seen=seen)
            if "versionId" not in seen.target:
                return respond(link, "404 Not Found", "x-amz-delete-marker: true", seen=seen)
            return respond(link, status, "x-amz-server-side-encryption: AES256", seen=seen)

    fake.behave = Versions(says("400 Bad Request"))
    answer, line, counted = ask(gates[True], PUT)
    assert (answer, counted) == (400, 0) and "is not known" in line["error"]


@pytest.mark.parametrize("sent, counts", [
    (PUT, True), (FORM, True), (COPY, True), (COMPLETE, True), (PUT[:-1], False), (COMPLETE[:-4].replace("Host: h", "Host: h\r\nExpect: 100-continue"), False),
], ids=["put", "form", "copy", "complete", "half", "its head"])
def test_what_is_with_the_store_as_the_process_ends(own, fake, sent, counts):
    fake.behave = is_silent
    gate = own(rules=RULES, shutdown={"drain": "1s"}, continue_timeout="30s")
    with Wire(gate.address) as wire:
        wire.send(sent)
        wait_until("the store's request", lambda: fake.seen and (fake.seen[-1].complete or not counts), 10)
        gate.process.stop(10)
    line, = gate.audit()
    assert (line["status"], line["decision"], line["reason"]) == (None, "error", "unconfirmed" if counts else "limit"), line
    assert ("may yet do it" in line["error"]) == counts


@pytest.mark.parametrize("target", ["/locked/k?uploads", "/locked/k?partNumber=1&uploadId=u"], ids=["create", "part"])
def test_what_makes_no_object_is_not_looked_at(gates, fake, target):
    fake.behave = Store(says("400 Bad Request"))
    method = "POST" if target.endswith("uploads") else "PUT"
    sse = SSE if method == "POST" else "Host: h\r\n"
    answer, line, counted = ask(gates[True], f"{method} {target} HTTP/1.1\r\n{sse}Content-Length: 1\r\n\r\nx")
    assert (answer, line["decision"], counted, fake.behave.asked) == (400, "allow", 0, [])


def test_an_error_before_the_body(gates, fake):
    fake.behave = Store(refuses_at_once)
    request = PUT.replace("Host: h", "Host: h\r\nExpect: 100-continue").removesuffix("secret")
    answer, line, counted = ask(gates[True], request)
    assert (answer, line["decision"], counted, fake.behave.asked) == (400, "allow", 0, [])


def test_nothing_is_deleted_that_may_be_anothers(gates, fake):
    fake.behave = Store(says("400 Bad Request"))
    answer, line, counted = ask(gates[True], PUT.replace("/locked", "/deleted"))
    assert (answer, counted, fake.behave.asked) == (501, 1, ["HEAD"]) and "left there" in line["error"]


def test_an_error_that_is_reported_only(gates, fake):
    fake.behave = Store(says("400 Bad Request"))
    answer, line, counted = ask(gates[True], PUT.replace("/locked", "/reported"))
    assert (answer, line["status"], line["decision"], line["reason"], counted) == (400, 400, "allow", "unconfirmed", 1)


def test_without_credentials_an_error_is_believed(gates, fake):
    fake.behave = Store(says("400 Bad Request"))
    answer, line, counted = ask(gates[False], PUT)
    assert (answer, line["decision"], counted, fake.behave.asked) == (400, "allow", 0, [])


@pytest.mark.parametrize("answers", [closes, closes_in_the_head, says("502 Bad Gateway")], ids=["closes", "in the head", "gateway"])
@pytest.mark.parametrize("age", [0, None], ids=["there", "nothing"])
def test_a_whole_write_without_an_answer(gates, fake, answers, age):
    fake.behave = Store(answers, age=age)
    answer, line, counted = ask(gates[True], PUT)
    failed = (503, "error", "store", 0) if line["store_request_id"] is None else (502, "allow", None, 0)
    assert (answer, line["decision"], line["reason"], counted) == (failed if age is None else (501, "error", "unconfirmed", 1))
    assert fake.behave.asked == ["HEAD"]


@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("request_text, answers, status", [
    (COPY, closes, 503), (COMPLETE, closes, 503), (COPY, is_silent, 503), (COMPLETE, is_silent, 503), (PUT, is_silent, 503), (FORM, is_silent, 503),
    (COPY, says("504 Gateway Timeout"), 504), (COMPLETE, says("502 Bad Gateway"), 502), (PUT, says("504 Gateway Timeout"), 504),
], ids=["copy closed", "complete closed", "copy silent", "complete silent", "put silent", "form silent", "copy 504", "complete 502", "put 504"])
def test_what_a_store_may_yet_do_is_not_confirmed(gates, fake, request_text, answers, status, credentials):
    """A look would come too early. The client may try again."""
    fake.behave = Store(answers)
    answer, line, counted = ask(gates[credentials], request_text)
    decision = "error" if status == 503 else "allow"
    assert (answer, line["status"], line["decision"], line["reason"], counted) == (status, status, decision, "unconfirmed", 1)
    assert "may yet do it" in line["error"]
    assert fake.behave.asked == []


@pytest.mark.parametrize("closes_at", [closes_at_once, refuses_with_502])
def test_an_upload_that_was_not_completed(gates, fake, closes_at):
    """The store has not got a byte of what is to be completed."""
    fake.behave = Store(closes_at)
    answer, line, counted = ask(gates[True], COMPLETE.replace("Host: h", "Host: h\r\nExpect: 100-continue").removesuffix("<x/>"))
    assert (answer, line["reason"], counted) == ((503, "store", 0) if closes_at is closes_at_once else (502, None, 0))


def cut_short(gate) -> tuple[dict, float]:
    before = gate.metric("sealgate_store_unconfirmed_total")
    gate.mark()
    with Wire(gate.address) as wire:
        wire.send(PUT[:-1])
    return gate.audit_new()[0], gate.metric("sealgate_store_unconfirmed_total") - before


@pytest.mark.parametrize("answers", [drops, says("400 Bad Request")], ids=["no answer", "error"])
def test_a_body_that_was_cut_short_where_a_look_tells_nothing(gates, fake, answers):
    """It is not counted, but the line says that nothing is known."""
    def behave(link, seen):
        if seen["user-agent"] == "sealgate":
            return respond(link, "403 Forbidden", seen=seen)
        try:
            return answers(link, seen)
        except EOFError:
            return respond(link, "400 Bad Request", seen=seen)

    fake.behave = behave
    line, counted = cut_short(gates[True])
    assert (line["status"], line["reason"], counted) == (400, "client", 0)
    assert "answered 403" in line["error"] and "terminated" in line["error"]


@pytest.mark.parametrize("age", [0, None], ids=["there", "nothing"])
def test_what_came_of_a_body_that_was_cut_short(gates, fake, age):
    fake.behave = Store(drops, age=age)
    line, counted = cut_short(gates[True])
    expected = (400, "client", 0) if age is None else (501, "unconfirmed", 1)
    assert (line["status"], line["reason"], counted) == expected
    assert fake.behave.asked == ["HEAD"]


def test_versitygw_stores_what_it_refuses(stores, scratch):
    """An object under a lock, in a bucket that has none."""
    store = stores("versitygw")
    direct = client(store.endpoint, store)
    direct.create_bucket(Bucket="locked-leftover")
    gate = Sealgate(scratch / "leftover-versitygw", store.endpoint, RULES)
    gate.config["store"]["credentials"] = {"access_key": store.access_key, "secret_key": store.secret_key}
    with gate:
        s3 = client(gate.endpoint, store)
        put = {"Bucket": "locked-leftover", "Key": "k", "ServerSideEncryption": "AES256", "ObjectLockLegalHoldStatus": "ON"}
        with pytest.raises(ClientError) as error:
            s3.put_object(Body=b"plain!", **put)
        assert error.value.response["Error"]["Code"] == "NotImplemented"
        with pytest.raises(ClientError) as error:
            s3.copy_object(CopySource={"Bucket": "locked-leftover", "Key": "k"}, **{**put, "Key": "copy"})
        assert error.value.response["Error"]["Code"] == "NotImplemented"
        assert gate.metric("sealgate_store_unconfirmed_total") == 2
        # Where nothing is written, its own error is told.
        with pytest.raises(ClientError) as error:
            s3.put_object(Body=b"plain!", **{**put, "Bucket": "locked-nowhere"})
        assert error.value.response["Error"]["Code"] == "NoSuchBucket"
    assert [o["Key"] for o in direct.list_objects_v2(Bucket="locked-leftover")["Contents"]] == ["copy", "k"]
