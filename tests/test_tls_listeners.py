"""TLS listeners: versions, certificates by name, client certificates as principals, certificates that change, health."""

import os
import ssl
import time

import pytest
import yaml

from harness.certificates import Authority
from harness.fakestore import FakeStore
from harness.process import free_port, wait_until
from harness.rules import EXPECT, RULES, SSE
from harness.secure import only, secure
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused
from test_tls import SSE_C, SecureFake

APP = "arn:aws:iam::111122223333:user/app"
DB = "arn:aws:iam::111122223333:role/db"
OPS = "arn:aws:iam::111122223333:user/ops"
CLAIMED = "arn:aws:iam::111122223333:user/claimed"
SIGNED = ("Authorization: AWS4-HMAC-SHA256 Credential=CLAIMEDKEY/20261124/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64,
          "x-amz-date: 20261124T000000Z", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
#: Only the app may write.
APP_ONLY = {"Version": "2012-10-17", "Statement": [{
    "Sid": "OnlyTheApp", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::app/*",
    "Condition": {"StringNotEquals": {"aws:PrincipalArn": APP}}}]}
CLIENTS = [{"certificate": "spiffe://example/app", "principal": APP},
           {"certificate": "db.example", "principal": DB},
           {"certificate": "CN=ops", "principal": OPS},
           {"access_key": "CLAIMEDKEY", "principal": CLAIMED}]


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ours")


@pytest.fixture(scope="module")
def other_pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"), "theirs")


@pytest.fixture(scope="module")
def store():
    with_store = FakeStore()
    yield with_store
    with_store.stop()


def pem(pair) -> dict:
    return {"cert": str(pair[0]), "key": str(pair[1])}


@pytest.fixture(scope="module")
def gate(scratch, pki, store):
    """Listeners: `address` optional client certificates, `strict` required, `new` TLS 1.3 only, `health` in the clear."""
    proxy = Sealgate(scratch / "tls-listeners", store.endpoint, [{"bucket": "app", "policy": APP_ONLY}, *RULES], clients=CLIENTS)
    server = pem(pki.issue("localhost", "DNS:localhost"))
    more = [pem(pki.issue("b", "DNS:b.example")), pem(pki.issue("wild", "DNS:*.wild.example"))]
    proxy.strict, proxy.new, proxy.health = (f"127.0.0.1:{free_port()}" for _ in range(3))
    ca = {"client_ca": str(pki.cert)}
    proxy.config["listen"] = [
        {"address": proxy.address, "tls": {**server, **ca, "client_auth": "optional", "certificates": more}},
        {"address": proxy.strict, "tls": {**server, **ca, "client_auth": "required"}},
        {"address": proxy.new, "tls": {**server, "min_version": "1.3"}},
        {"address": proxy.health, "serve": "health"},
    ]
    with proxy:
        yield proxy


def put(gate, wire, bucket="app", *headers):
    wire.request("PUT", f"/{bucket}/k", *headers, body=b"x")
    answer = wire.answer()
    return answer, gate.audit_of(answer["x-amz-request-id"])


def test_floor(gate, pki):
    with pytest.raises((ssl.SSLError, OSError)):
        secure(gate.new, pki.cert, **only(ssl.TLSVersion.TLSv1_2))
    with secure(gate.new, pki.cert) as wire:
        _, line = put(gate, wire, "open")
        assert line["tls"] == "1.3"
    for version, name in ((ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")):
        with secure(gate.address, pki.cert, **only(version)) as wire:
            assert put(gate, wire, "open")[1]["tls"] == name
    with pytest.raises((ssl.SSLError, OSError)):
        secure(gate.address, pki.cert, **only(ssl.TLSVersion.TLSv1_1))
    assert gate.metric("sealgate_tls_handshakes_total", version="1.3", result="done") >= 2
    wait_until("the failed one", lambda: gate.metric("sealgate_tls_handshakes_total", version="none", result="failed") >= 1, 5)


@pytest.mark.parametrize(("name", "common"), [
    ("localhost", "localhost"), ("b.example", "b"), ("B.Example", "b"), ("x.wild.example", "wild"),
    ("x.y.wild.example", "localhost"), ("wild.example", "localhost"), ("unknown.example", "localhost"), (None, "localhost"),
])
def test_the_name_chooses_the_certificate(gate, pki, name, common):
    with secure(gate.address, pki.cert, name, check=False) as wire:
        subject = dict(pair[0] for pair in wire.socket.getpeercert()["subject"])
        assert subject["commonName"] == common


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_a_principal(gate, pki, version):
    app = pki.issue("app", "URI:spiffe://example/app")
    with secure(gate.address, pki.cert, client=app, **only(version)) as wire:
        for _ in range(2):
            answer, line = put(gate, wire)
            assert answer.status == 200
            assert (line["principal"], line["verified"]) == (APP, True)
    with secure(gate.strict, pki.cert, client=app, **only(version)) as wire:
        assert put(gate, wire)[0].status == 200


def test_names_of_certificates(gate, pki):
    for pair, principal in [
        (pki.issue("db", "DNS:DB.example"), DB),
        (pki.issue("ops", subject="/O=Example/CN=ops"), OPS),
        (pki.issue("nobody", "DNS:db.example.net", "URI:spiffe://example/app/2", subject="/CN=opsy"), None),
    ]:
        with secure(gate.address, pki.cert, client=pair) as wire:
            answer, line = put(gate, wire)
            assert_refused(answer)
            assert (line["principal"], line["verified"]) == (principal, principal is not None)
            assert line["sid"] == "OnlyTheApp"


def test_a_certificate_wins_over_a_claim(gate, pki):
    with secure(gate.address, pki.cert, client=pki.issue("app", "URI:spiffe://example/app")) as wire:
        answer, line = put(gate, wire, "app", *SIGNED)
        assert (answer.status, line["principal"], line["verified"]) == (200, APP, True)
    with secure(gate.address, pki.cert) as wire:
        answer, line = put(gate, wire, "app", *SIGNED)
        assert (answer.status, line["principal"], line["verified"]) == (403, CLAIMED, False)
    with secure(gate.address, pki.cert, client=pki.issue("nobody")) as wire:
        assert put(gate, wire, "open", *SIGNED)[1]["principal"] == CLAIMED


def test_without_a_certificate(gate, pki):
    with secure(gate.address, pki.cert) as wire:
        answer, line = put(gate, wire)
        assert_refused(answer)
        assert line["principal"] is None and line["verified"] is False
    with pytest.raises((ssl.SSLError, OSError, EOFError)), secure(gate.strict, pki.cert) as wire:
        wire.request("GET", "/open/k")
        wire.answer("GET")


@pytest.mark.parametrize("listener", ["address", "strict"])
def test_a_foreign_authority_proves_nothing(gate, pki, other_pki, listener):
    before = gate.metric("sealgate_tls_handshakes_total", result="certificate")
    foreign = other_pki.issue("app", "URI:spiffe://example/app", subject="/CN=ops")
    with pytest.raises((ssl.SSLError, OSError, EOFError)), \
            secure(getattr(gate, listener), pki.cert, client=foreign) as wire:
        wire.request("PUT", "/app/k", body=b"x")
        wire.answer()
    wait_until("its count", lambda: gate.metric("sealgate_tls_handshakes_total", result="certificate") == before + 1, 5)


def test_sessions_are_resumed_with_their_principal(gate, pki):
    context = ssl.create_default_context(cafile=pki.cert)
    context.load_cert_chain(*pki.issue("app", "URI:spiffe://example/app"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for resumed in (False, True):
        wire = Wire(gate.address)
        wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost", session=session)
        with wire:
            assert wire.socket.session_reused == resumed
            assert put(gate, wire)[1]["principal"] == APP
            session = wire.socket.session


def test_slow_and_broken_handshakes(scratch, pki, store):
    proxy = Sealgate(scratch / "tls-slow", store.endpoint, RULES, limits={"header_timeout": "1s"})
    proxy.config["listen"] = [{"address": proxy.address, "tls": pem(pki.issue("slow", "DNS:localhost"))}]
    with proxy:
        with Wire(proxy.address) as wire:
            wire.send(b"\x16\x03\x01\x02\x00\x01")
            assert wire.ends(4)
        with Wire(proxy.address) as wire:
            wire.send("GET /open/k HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in wire.socket.recv(1000)
        for result in ("timeout", "failed"):
            wait_until(result, lambda: proxy.metric("sealgate_tls_handshakes_total", version="none", result=result) == 1, 5)


def serial(proxy, pki) -> str:
    with secure(proxy.address, pki.cert) as wire:
        return wire.socket.getpeercert()["serialNumber"]


def test_certificates_change_under_open_connections(scratch, pki, store, tmp_path):
    proxy = Sealgate(scratch / "tls-reload", store.endpoint, RULES)
    # As Kubernetes mounts a Secret: files through a symlink that is swapped.
    for generation in ("one", "two", "broken"):
        (tmp_path / generation).mkdir()
        for file, name in zip(pki.issue(f"reload-{generation}", "DNS:localhost"), ("tls.crt", "tls.key")):
            (tmp_path / generation / name).write_bytes(file.read_bytes())
    (tmp_path / "broken" / "tls.key").write_text("nothing")

    def point(generation: str):
        os.symlink(generation, tmp_path / "..next")
        os.replace(tmp_path / "..next", tmp_path / "..data")

    point("one")
    proxy.config["listen"] = [{"address": proxy.address, "tls": {
        "cert": str(tmp_path / "..data/tls.crt"), "key": str(tmp_path / "..data/tls.key")}}]
    reloads = "sealgate_tls_certificate_reloads_total"
    with proxy, secure(proxy.address, pki.cert) as open_wire:
        first = serial(proxy, pki)
        until = proxy.metric("sealgate_tls_certificate_not_after_timestamp_seconds")
        assert abs(until - time.time() - 30 * 86400) < 3600
        open_wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
        assert open_wire.answer().status == 100
        point("two")
        wait_until("the new certificate", lambda: serial(proxy, pki) != first, 5)
        second = serial(proxy, pki)
        open_wire.send(b"hello")
        assert open_wire.answer().status == 200
        wait_until("its count", lambda: proxy.metric(reloads, result="applied") == 1, 5)
        point("broken")
        wait_until("the refusal", lambda: proxy.metric(reloads, result="refused") == 1, 5)
        wait_until("its mark", lambda: proxy.metric("sealgate_tls_certificates_refused") == 1, 5)
        assert serial(proxy, pki) == second
        point("one")
        wait_until("the first again", lambda: serial(proxy, pki) == first, 5)
        wait_until("no mark", lambda: proxy.metric("sealgate_tls_certificates_refused") == 0, 5)
        open_wire.request("GET", "/open/k")
        assert open_wire.answer("GET").status == 200


def test_health_listener(gate):
    with Wire(gate.health) as wire:
        for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n"), ("/healthz?probe", b"ok\n")):
            wire.request("GET", path)
            answer = wire.answer("GET")
            assert (answer.status, answer.body) == (200, body)
        wire.request("HEAD", "/healthz")
        assert wire.answer("HEAD").status == 200
        wire.request("GET", "/open/k")
        answer = wire.answer("GET")
        assert_refused(answer, closes=False)
        assert gate.audit_of(answer["x-amz-request-id"])["decision"] == "deny"
        wire.request("GET", "/healthz")
        assert wire.answer("GET").status == 200
    for method, path in (("PUT", "/open/k"), ("POST", "/healthz"), ("PUT", "/healthz")):
        with Wire(gate.health) as wire:
            wire.request(method, path, EXPECT, length=1000)
            interim, answer = wire.final(method)
            assert interim == []
            assert_refused(answer, closes=True)


def test_sse_c_counts_the_clients_tls(gate, pki):
    with secure(gate.address, pki.cert) as wire:
        wire.request("PUT", "/locked/k", *SSE_C, body=b"x")
        assert wire.answer().status == 200


def _through(scratch, name, port, tls) -> int:
    proxy = Sealgate(scratch / name, f"https://localhost:{port}", RULES)
    proxy.config["store"]["tls"] = tls
    proxy.start(ready="/healthz")
    try:
        with Wire(proxy.address) as wire:
            wire.request("GET", "/open/k")
            return wire.answer("GET").status
    finally:
        proxy.stop()


def test_tls_to_the_store(scratch, pki, other_pki):
    """A private authority, a name of its own, and a store that demands a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.issue("store", "DNS:store.example"))
    context.load_verify_locations(pki.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    store = SecureFake(context)
    ours, theirs = pki.issue("gate"), other_pki.issue("gate")
    names = {"ca": str(pki.cert), "server_name": "store.example"}
    try:
        assert _through(scratch, "store-good", store.port, {**names, **pem(ours)}) == 200
        assert _through(scratch, "store-no-certificate", store.port, names) == 503
        assert _through(scratch, "store-foreign", store.port, {**names, **pem(theirs)}) == 503
        assert _through(scratch, "store-name", store.port, {"ca": str(pki.cert), **pem(ours)}) == 503
        assert _through(scratch, "store-ca", store.port, {**names, "ca": str(other_pki.cert), **pem(ours)}) == 503
    finally:
        store.stop()


def test_a_changed_configuration_changes_new_connections(scratch, pki, store):
    proxy = Sealgate(scratch / "tls-changed", store.endpoint, RULES)
    tls = pem(pki.issue("changed", "DNS:localhost"))
    proxy.config["listen"] = [{"address": proxy.address, "tls": tls}]
    with proxy, secure(proxy.address, pki.cert, **only(ssl.TLSVersion.TLSv1_2)) as old:
        tls["min_version"] = "1.3"
        proxy.config_file.write_text(yaml.safe_dump(proxy.config, sort_keys=False))
        wait_until("the reload", lambda: proxy.metric("sealgate_config_reloads_total", result="applied") == 1, 5)
        with pytest.raises((ssl.SSLError, OSError)):
            secure(proxy.address, pki.cert, **only(ssl.TLSVersion.TLSv1_2))
        with secure(proxy.address, pki.cert) as wire:
            assert put(proxy, wire, "open")[1]["tls"] == "1.3"
        assert put(proxy, old, "open")[1]["tls"] == "1.2"


def test_a_pipe_in_a_certificates_place(scratch, pki, store):
    """Nobody waits for somebody to write it: the lines of reads are written all the same, and the next certificate is read."""
    proxy = Sealgate(scratch / "tls-hangs", store.endpoint, [{"bucket": "open"}])
    pair = [path.rename(f"{path}.hangs") for path in pki.issue("hangs")]
    proxy.config["listen"].append({"address": f"127.0.0.1:{free_port()}", "tls": pem(pair)})
    with proxy:
        pair[0].unlink()
        os.mkfifo(pair[0])
        wait_until("its refusal", lambda: proxy.metric("sealgate_tls_certificates_refused") == 1, 10)
        with Wire(proxy.address) as wire:
            for _ in range(40):
                wire.request("GET", "/open/k")
                assert wire.answer("GET").status == 200
        wait_until("their lines", lambda: len(proxy.audit()) == 40, 5)
        pair[0].unlink()
        for path, new in zip(pair, pki.issue("hangs"), strict=True):
            new.rename(path)
        wait_until("the new one", lambda: proxy.metric("sealgate_tls_certificates_refused") == 0, 10)
