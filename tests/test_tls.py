"""The same handshake over TLS, and a store behind HTTPS."""

import base64
import hashlib
import json
import shutil
import ssl

import pytest

from harness.commands import run
from harness.fakestore import FakeStore
from harness.process import wait_until
from harness.rules import EXPECT, RULES, SSE
from harness.sealgate import Sealgate
from harness.tools import tool
from harness.wire import Wire, assert_refused


_P = "x-amz-server-side-encryption-customer"
SSE_C = [f"{_P}-algorithm: AES256", f"{_P}-key: {base64.b64encode(bytes(32)).decode()}",
         f"{_P}-key-MD5: {base64.b64encode(hashlib.md5(bytes(32)).digest()).decode()}"]


def self_signed(folder):
    run([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]).ok()
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(scratch, _fake, certificate):
    proxy = Sealgate(scratch / "tls", _fake.endpoint, RULES)
    cert, key = certificate
    proxy.config["listen"] = [{"address": proxy.address, "tls": {"cert": str(cert), "key": str(key)}}]
    with proxy:
        yield proxy


def connect(proxy, certificate, **versions) -> Wire:
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(["http/1.1"])
    for name, value in versions.items():
        setattr(context, name, value)
    wire = Wire(proxy.address, 30)
    wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost")
    return wire


def test_denied(secure, fake, certificate):
    with connect(secure, certificate) as wire:
        wire.request("PUT", "/locked/k", EXPECT, length=1000)
        interim, answer = wire.final()
        assert interim == []
        assert_refused(answer, closes=True)
        assert wire.ends(), "close_notify, then the end"
    assert fake.seen == []


def test_denied_after_the_body(secure, fake, certificate):
    with connect(secure, certificate) as wire:
        wire.request("PUT", "/locked/k", body=b"x" * 10_000_000)
        assert_refused(wire.answer(), closes=True)
    assert fake.seen == []


def test_allowed(secure, fake, certificate):
    with connect(secure, certificate) as wire:
        wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
        assert wire.answer().status == 100
        wire.send(b"hello")
        assert wire.answer().status == 200
    assert fake.last().body == b"hello"


def test_sse_c(secure, fake, certificate):
    with connect(secure, certificate) as wire:
        wire.request("PUT", "/locked/k", *SSE_C, body=b"x")
        assert wire.answer().status == 200


@pytest.mark.parametrize(("version", "name"), [(ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")])
def test_version_is_logged(secure, fake, certificate, version, name):
    with connect(secure, certificate, minimum_version=version, maximum_version=version) as wire:
        wire.request("GET", "/open/k")
        answer = wire.answer("GET")
    assert name in secure.audit_of(answer["x-amz-request-id"])["tls"]


class SecureFake(FakeStore):
    """The scriptable store behind TLS."""

    def __init__(self, context: ssl.SSLContext):
        super().__init__()
        self._context = context

    def _serve(self, link):
        try:
            link.socket = self._context.wrap_socket(link.socket, server_side=True)
        except (ssl.SSLError, OSError):
            return
        super()._serve(link)


def test_store_whose_authorities_change(scratch, certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    store = SecureFake(context)
    authorities, _ = self_signed(tmp_path)
    proxy = Sealgate(scratch / "https-changing", f"https://localhost:{store.port}", RULES)
    proxy.config["store"]["tls"] = {"ca": str(authorities)}

    def status():
        with Wire(proxy.address) as wire:
            wire.request("GET", "/open/k")
            return wire.answer("GET").status

    proxy.start(ready="/healthz")
    try:
        assert status() == 503
        shutil.copy(certificate[0], authorities)
        wait_until("the new authorities", lambda: status() == 200, 10)
        authorities.write_text("nonsense")
        wait_until("the refusal", lambda: "cert.pem" in (json.loads(proxy.admin("/config")[1])["refused"] or ""), 10)
        assert status() == 200
    finally:
        proxy.stop()
        store.stop()


def test_store_behind_https(scratch, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    store = SecureFake(context)
    proxy = Sealgate(scratch / "https-store", f"https://localhost:{store.port}", RULES)
    proxy.config["store"]["tls"] = {"ca": str(certificate[0])}
    with proxy, Wire(proxy.address) as wire:
        wire.request("PUT", "/locked/k", SSE, EXPECT, length=5)
        assert wire.answer().status == 100
        wire.send(b"hello")
        assert wire.answer().status == 200
        assert store.last().body == b"hello"
    other = Sealgate(scratch / "https-untrusted", f"https://localhost:{store.port}", RULES)
    other.start(ready="/healthz")
    try:
        with Wire(other.address) as wire:
            wire.request("GET", "/open/k")
            assert_refused(wire.answer("GET"), 503, "ServiceUnavailable")
    finally:
        other.stop()
    store.stop()
