"""What one client holds back, leaves untaken or makes up must not be others' loss."""

import os
import socket
import time

import pytest

from harness.h2wire import H2
from harness.life import STRICT, put
from harness.process import wait_until
from harness.rules import SSE
from harness.wire import Wire

#: Its requests must be read to be decided.
READ = [{"bucket": "b", "policy": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::b/secret/*"}]}}]


def _descriptors(proxy) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def test_refusals_that_an_http2_client_does_not_take(own):
    """No window, so no error's body can be sent: such requests are over, for others and for the end of the process."""
    proxy = own(rules=STRICT, limits={"requests": 50}, shutdown={"drain": "1s"})
    with H2(proxy.address, window=0) as h2:
        for _ in range(100):
            h2.head("PUT", "/b/k", ("content-length", "5"), end=False)
        wait_until("their lines", lambda: len(proxy.audit()) == 100, 10)
        assert {line["decision"] for line in proxy.audit()} == {"deny"}
        wait_until("none is under way", lambda: proxy.metric("sealgate_requests_active") == 0, 5)
        assert put(proxy, SSE) == 200
        proxy.process.stop(10)
    assert "without_line" not in proxy.process.output()
    proxy.start()
    put(proxy, SSE)
    assert [line["unclean"] for line in proxy.audit()] == [False] * 102


def test_a_refusal_that_is_not_taken_ends_its_stream(own):
    proxy = own(rules=STRICT, limits={"requests_per_source": 2})
    with H2(proxy.address, window=0) as h2:
        streams = [h2.head("PUT", "/b/k", ("content-length", "5"), end=False) for _ in range(4)]
        begun = time.monotonic()
        _two_end_before_the_others(h2, streams)
        assert 4 < time.monotonic() - begun < 9
    assert sorted(line["code"] for line in proxy.audit()) == ["AccessDenied"] * 2 + ["SlowDown"] * 2


def _two_end_before_the_others(h2, streams):
    """Two count as their address' requests until they are given up; the others are told to slow down, and not waited for."""
    def over():
        h2.read(0.1)
        return sorted(h2.streams[number].done for number in streams)

    wait_until("the two that are too many", lambda: over() == [False, False, True, True], 3)
    wait_until("the others", lambda: all(over()), 10)


@pytest.mark.parametrize("fields", [[("expect", "x")], [("authorization", "AWS4-HMAC-SHA256 nonsense")], [("x-amz-acl", "private")] * 2])
def test_what_is_refused_whatever_is_decided_counts(own, fields):
    """What is one too many is told so before all else."""
    proxy = own(rules=STRICT, limits={"requests_per_source": 2})
    with H2(proxy.address, window=0) as h2:
        streams = [h2.head("GET", "/b/k", *fields) for _ in range(4)]
        _two_end_before_the_others(h2, streams)
    assert sorted(line["code"] for line in proxy.audit())[2:] == ["SlowDown"] * 2


def test_heads_that_are_refused_are_not_waited_for(own):
    proxy = own(rules=STRICT, limits={"requests_per_source": 2, "idle_timeout": "60s"})
    begun = time.monotonic()
    with H2(proxy.address, window=0) as h2:
        streams = [h2.head("GET", "/b/k", ("host", "another")) for _ in range(4)]
        _two_end_before_the_others(h2, streams)
    assert 4 < time.monotonic() - begun < 9
    assert {line["code"] for line in proxy.audit()} == {"BadRequest"}


def test_who_takes_no_answers_is_sent_away(own):
    proxy = own(rules=STRICT, limits={"requests_per_source": 1})
    with H2(proxy.address, window=0) as h2:
        sent = 0
        while h2.goaway is None and not h2.closed and sent < 1000:
            h2.head("GET", "/b/k", ("host", "another"))
            sent += 1
            end = time.monotonic() + 10
            while h2.h2.open_outbound_streams >= 100 and h2.goaway is None and time.monotonic() < end:
                h2.read(0.05)
        assert 256 <= sent < 600


def test_health_answers_that_are_not_read(own):
    # What the kernel holds may end within a head.
    proxy = own(limits={"idle_timeout": "1s", "header_timeout": "1s", "linger": {"bytes": 0, "time": "1s"}})
    proxy.stop()
    proxy.config["listen"][0]["serve"] = "health"
    proxy.start()
    # Counted now: the connection may be over as soon as the client notices.
    descriptors = _descriptors(proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pages = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
        link.settimeout(1)
        with pytest.raises(OSError):
            # Until neither side takes more.
            for _ in range(10_000):
                link.sendall(pages)
        wait_until("its end", lambda: _descriptors(proxy) <= descriptors, 10)


def test_made_up_lengths_do_not_turn_a_counter_back(own):
    proxy = own(rules=STRICT)
    counts = []
    for _ in range(3):
        with Wire(proxy.address) as wire:
            wire.request("PUT", "/b/k", length=(1 << 63) - 1)
            assert wire.answer().status == 403
        counts.append(proxy.metrics()["sealgate_refused_body_bytes_total"])
    assert counts == sorted(set(counts)) and counts[0] > 0


def test_bodies_that_are_held_leave_room_for_other_addresses(own):
    proxy = own(rules=READ, trusted_proxies=["127.0.0.1"])
    wires = []
    try:
        # All of one IPv6 network, which is one client's.
        for last in range(1, 5):
            for _ in range(2):
                wire = Wire(proxy.address)
                wires.append(wire)
                wire.request("POST", "/b?delete", f"X-Forwarded-For: 2001:db8::{last}", length=8 << 20)
                try:
                    wire.push((8 << 20) - 1, 5, patience=1.5)
                except OSError:
                    # Refused while it sends.
                    pass
        body = b"<Delete><Object><Key>k</Key></Object></Delete>"
        with Wire(proxy.address) as wire:
            wire.request("POST", "/b?delete", "X-Forwarded-For: 198.51.100.9", body=body)
            assert wire.answer("POST").status == 200
    finally:
        for wire in wires:
            wire.close()


def test_a_body_may_be_as_large_as_xml_bytes_says(own, fake):
    proxy = own(rules=READ, limits={"xml_bytes": "32MiB"})
    keys = b"".join(b"<Object><Key>k%d</Key></Object>" % n for n in range(1000))
    body = b"<Delete>" + b" " * (20 << 20) + keys + b"</Delete>"
    with Wire(proxy.address, 30) as wire:
        wire.request("POST", "/b?delete", body=body)
        assert wire.answer("POST").status == 200
    assert fake.last().body == body
