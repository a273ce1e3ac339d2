"""Every limit of the configuration, and what happens beyond it."""

import resource
import socket
import threading
import time

import pytest

from harness.process import free_port, page, wait_until
from harness.rules import EXPECT
from harness.sealgate import Sealgate
from harness.wire import Wire, assert_refused

OPEN = [{"bucket": "*"}]


def connect(proxy, source: str = "127.0.0.1") -> socket.socket:
    link = socket.create_connection(("127.0.0.1", proxy.port), 5, source_address=(source, 0))
    link.settimeout(5)
    return link


def is_served(link: socket.socket) -> bool:
    try:
        link.sendall(b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
        return link.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def test_connections_in_all_and_from_one_address(gates, fake):
    proxy = gates("few", rules=OPEN, limits={"connections": 4, "connections_per_source": 2}).at_rest()
    links = [connect(proxy) for _ in range(2)]
    assert all(map(is_served, links))
    third = connect(proxy)
    assert not is_served(third)
    others = [connect(proxy, f"127.0.0.{n}") for n in (2, 3)]
    assert all(map(is_served, others))
    assert not is_served(connect(proxy, "127.0.0.4"))
    metrics = proxy.metrics()
    assert metrics["sealgate_connections"] == 4 and metrics["sealgate_connections_refused_total"] == 2
    for link in links + others:
        link.close()
    wait_until("their end", lambda: proxy.metrics()["sealgate_connections"] == 0, 5)
    assert is_served(connect(proxy))


def test_requests_at_a_time(gates, fake):
    proxy = gates("one-at-a-time", rules=OPEN, limits={"requests": 1})
    release = threading.Event()

    def behave(link, seen):
        release.wait(10)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    fake.behave = behave
    with Wire(proxy.address) as first, Wire(proxy.address) as second:
        first.request("GET", "/b/k")
        wait_until("the first", lambda: proxy.metrics()["sealgate_requests_active"] == 1, 5)
        second.request("GET", "/b/k")
        assert_refused(second.final("GET")[1], 503, "SlowDown")
        release.set()
        assert first.final("GET")[1].status == 200


def test_requests_of_one_address(gates, fake):
    proxy = gates("one-of-each", rules=OPEN, limits={"requests_per_source": 1})
    release = threading.Event()

    def behave(link, seen):
        if seen.target == "/b/slow":
            release.wait(10)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    fake.behave = behave
    with Wire(proxy.address) as first, Wire(proxy.address) as second:
        for _ in range(2):
            first.request("GET", "/b/k")
            assert first.final("GET")[1].status == 200
        first.request("GET", "/b/slow")
        wait_until("the first", lambda: proxy.metrics()["sealgate_requests_active"] == 1, 5)
        second.request("GET", "/b/k")
        assert_refused(second.final("GET")[1], 503, "SlowDown")
        assert is_served(connect(proxy, "127.0.0.2"))
        release.set()
        assert first.final("GET")[1].status == 200


def test_bodies_that_must_be_read_and_do_not_come(gates, fake):
    """They are held to the least speed, too: what waits for them is a place among the requests."""
    proxy = gates("hasty-3", limits={"body_rate": {"bytes": "1KiB", "after": "1s"}})
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        wire.request("POST", "/locked?delete", length=1000)
        assert_refused(wire.final("POST")[1], 400, "RequestTimeout")
    assert 0.8 < time.monotonic() - begun < 10


def test_health_is_answered_however_many_are_connected(scratch, fake):
    probes = free_port()
    proxy = Sealgate(scratch / "crowded", fake.endpoint, OPEN, limits={"connections": 2})
    proxy.config["listen"].append({"address": f"127.0.0.1:{probes}", "serve": "health"})
    with proxy:
        proxy.at_rest()
        links = [connect(proxy) for _ in range(2)]
        assert all(map(is_served, links))
        assert not is_served(connect(proxy))
        assert page(probes, "/healthz")[0] == 200


def test_body_bytes(gates, fake):
    proxy = gates("small-bodies", rules=OPEN, limits={"body_bytes": "1KiB"})
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", body=b"x" * 1024)
        assert wire.final("PUT")[1].status == 200
        wire.request("PUT", "/b/k", EXPECT, length=1025)
        before, answer = wire.final("PUT")
        assert not before
        assert_refused(answer, 400, "EntityTooLarge")
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", "Transfer-Encoding: chunked")
        wire.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        wire.send(b"1\r\nx\r\n0\r\n\r\n")
        assert_refused(wire.final("PUT")[1], 400, "EntityTooLarge")


def test_body_rate(gates, fake):
    proxy = gates("hasty", rules=OPEN, limits={"body_rate": {"bytes": "1KiB", "after": "1s"}})
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        wire.send(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        try:
            for _ in range(60):
                wire.send(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        _, answer = wire.final("PUT")
        assert_refused(answer, 400, "RequestTimeout")
        assert 0.8 < time.monotonic() - begun < 30
    with Wire(proxy.address) as wire:
        wire.send(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(20):
            wire.send(b"x" * 500)
            time.sleep(0.1)
        assert wire.final("PUT")[1].status == 200


def test_store_silence_is_not_the_client_s(gates, fake):
    """A store that takes its time while the client waits costs the client nothing."""
    proxy = gates("hasty-2", rules=OPEN, limits={"body_rate": {"bytes": "100KiB", "after": "1s"}})

    def behave(link, seen):
        time.sleep(2)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    fake.behave = behave
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", body=b"x")
        assert wire.final("PUT")[1].status == 200


def test_slow_head(gates, fake):
    proxy = gates("slow-head", rules=OPEN, limits={"header_timeout": "1s"})
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        try:
            for byte in b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 100:
                wire.send(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        assert_refused(wire.final("GET")[1], 400, "RequestTimeout")
    assert 0.8 < time.monotonic() - begun < 30


def test_silent_body(gates, fake):
    proxy = gates("silent-body", rules=OPEN, limits={"idle_timeout": "1s"})
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        wire.send(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
        assert_refused(wire.final("PUT")[1], 400, "RequestTimeout")
    assert 0.8 < time.monotonic() - begun < 15


def test_idle_connection(gates, fake):
    proxy = gates("silent-body", rules=OPEN, limits={"idle_timeout": "1s"})
    with Wire(proxy.address) as wire:
        begun = time.monotonic()
        wire.request("GET", "/b/k")
        assert wire.final("GET")[1].status == 200
        assert wire.ends()
        assert 0.8 < time.monotonic() - begun < 15


@pytest.mark.parametrize("how", ["hangs", "dribbles", "stops"])
def test_store_that_does_not_move(gates, fake, how):
    proxy = gates("impatient", rules=OPEN, store_options={"response_timeout": "1s"})

    def behave(link, seen):
        if how == "stops":
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        for _ in range(40):
            if how == "dribbles":
                link.send(b"H" if _ == 0 else b"")
            time.sleep(0.1)
        return False

    fake.behave = behave
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        wire.request("GET", "/b/k")
        if how == "stops":
            # It has begun: what is incomplete must not look complete.
            with pytest.raises((EOFError, ConnectionResetError)):
                wire.final("GET")
        else:
            assert_refused(wire.final("GET")[1], 503, "ServiceUnavailable")
    assert time.monotonic() - begun < 15


def test_store_that_drips_its_head(gates, fake):
    """Each byte comes in time, and the head never."""
    proxy = gates("impatient", rules=OPEN, store_options={"response_timeout": "1s"})

    def behave(link, seen):
        head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200
        try:
            for byte in head:
                link.send(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        return False

    fake.behave = behave
    begun = time.monotonic()
    with Wire(proxy.address) as wire:
        wire.request("GET", "/b/k")
        assert_refused(wire.final("GET")[1], 503, "ServiceUnavailable")
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    b"SSH-2.0-x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
], ids=["too large", "another protocol", "two lengths"])
def test_store_that_says_nonsense(gates, fake, head):
    proxy = gates("impatient", rules=OPEN, store_options={"response_timeout": "1s"})

    def behave(link, seen):
        link.send(head)
        return False

    fake.behave = behave
    with Wire(proxy.address) as wire:
        wire.request("GET", "/b/k")
        assert_refused(wire.final("GET")[1], 503, "ServiceUnavailable")


def test_a_thousand_idle_connections(gates, fake):
    """They are kept, cost little, and nobody is kept waiting by them."""
    proxy = gates("idle", rules=OPEN, limits={"connections_per_source": 2000})

    def memory() -> int:
        lines = open(f"/proc/{proxy.process.pid}/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    before = memory()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    links = [connect(proxy) for _ in range(1000)]
    try:
        wait_until("all of them", lambda: proxy.metrics()["sealgate_connections"] == 1000, 20)
        assert memory() - before < 50 * 1024
        with Wire(proxy.address) as wire:
            wire.request("GET", "/b/k")
            assert wire.final("GET")[1].status == 200
        assert all(map(is_served, links[::100]))
    finally:
        for link in links:
            link.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("files, most", [(256, 64), (64, 11)])
def test_clients_do_not_take_all_the_files(scratch, fake, files, most):
    """Below any limit of the configuration the admin port answers, and so does the store, when the system allows few open files."""
    proxy = Sealgate(scratch / f"files-{files}", fake.endpoint, OPEN)
    proxy.prefix = ["prlimit", f"--nofile={files}:{files}"]
    with proxy.start():
        assert "more open files than the system allows" in proxy.process.output()
        links = []
        try:
            with Wire(proxy.address) as wire:
                for _ in range(files + 50):
                    links.append(connect(proxy, f"127.0.0.{2 + len(links) % 3}"))
                wait_until("the most", lambda: proxy.metrics()["sealgate_connections"] == most)
                assert proxy.metrics()["process_max_fds"] == files
                assert proxy.admin("/readyz")[0] == 200
                wire.request("GET", "/b/k")
                assert wire.final("GET")[1].status == 200
        finally:
            for link in links:
                link.close()
        wait_until("their end", lambda: proxy.metrics()["sealgate_connections"] == 0)


def test_one_address_does_not_take_all_the_files(scratch, fake):
    """The default for one address is more than all that there are files for."""
    proxy = Sealgate(scratch / "files-of-one", fake.endpoint, OPEN)
    proxy.prefix = ["prlimit", "--nofile=256:256"]
    with proxy.start():
        links = [connect(proxy) for _ in range(100)]
        try:
            wait_until("the most of one", lambda: proxy.metrics()["sealgate_connections"] == 32)
            assert is_served(connect(proxy, "127.0.0.2"))
        finally:
            for link in links:
                link.close()
