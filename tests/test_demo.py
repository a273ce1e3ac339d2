"""The demo and its embedded store."""

import time

import pytest

from harness.commands import run
from harness.rules import EXPECT
from harness.tools import sealgate
from harness.wire import Wire

STRANGER = ("Authorization: AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64,
            "x-amz-content-sha256: UNSIGNED-PAYLOAD", "x-amz-date: 20260101T000000Z")


@pytest.fixture
def wire(stores):
    with Wire(stores("embedded").address) as wire:
        yield wire


def test_demo_once():
    done = run([sealgate(), "demo", "--once"]).ok()
    assert "403" in done.out and "200" in done.out, done


def test_a_small_body_that_nobody_wanted_leaves_the_connection_usable(wire):
    for _ in range(3):
        wire.request("PUT", "/bucket/key", *STRANGER, length=5)
        time.sleep(0.05)
        wire.send(b"12345")
        answer = wire.answer()
        assert answer.status == 403 and answer["connection"] is None, answer


def test_a_large_one_is_said_to_end_it(wire):
    wire.request("PUT", "/bucket/key", *STRANGER, length=10 << 20)
    wire.send(b"x" * (2 << 20))
    answer = wire.answer()
    assert answer.status == 403 and answer["connection"] == "close", answer


def test_one_that_does_not_come_is_not_waited_for(wire):
    wire.request("PUT", "/bucket/key", *STRANGER, length=5)
    answer = wire.answer()
    assert answer.status == 403 and answer["connection"] == "close", answer


def test_one_that_waits_is_not_invited(wire):
    wire.request("PUT", "/bucket/key", *STRANGER, EXPECT, length=5)
    answer = wire.answer()
    assert answer.status == 403 and answer["connection"] == "close", answer
