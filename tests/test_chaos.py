"""What breaks under load: the store, Sealgate itself, the way between them. After each: no acknowledged write without its audit line, no
unencrypted object in the store, and everything goes on without a hand."""

import collections
import itertools
import os
import signal
import socket
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness.boto import client
from harness.process import free_port, listening, wait_until
from harness.sealgate import Sealgate
from harness.stores import MinioKms

BUCKET = "chaos"
CLIENTS = 8


class Relay:
    """A way to a port that can be blocked: bytes are kept from passing, connections stay as they are."""

    def __init__(self, target: int):
        self.target, self.port, self.passes = target, free_port(), threading.Event()
        self.passes.set()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                store = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                if self.listener.fileno() < 0:
                    return
                client.close()
                continue
            for a, b in ((client, store), (store, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket):
        try:
            while data := a.recv(65536):
                self.passes.wait()
                b.sendall(data)
        except OSError:
            pass
        for link in (a, b):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.passes.set()
        self.listener.close()


class Writers:
    """Clients that keep writing, with and without encryption, and remember what was acknowledged."""

    def __init__(self, endpoint: str, store):
        self.stop = threading.Event()
        self.acknowledged, self.refused, self.admitted = [], [], []
        self.failures = collections.Counter()
        self.last = time.monotonic()
        self.threads = [threading.Thread(target=self._run, args=(endpoint, store, i), daemon=True) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self, endpoint: str, store, i: int):
        s3 = client(endpoint, store, read_timeout=10, connect_timeout=2)
        for n in itertools.count():
            if self.stop.is_set():
                return
            plain = n % 4 == 3
            key = f"{'plain' if plain else 'sse'}-{i}-{n}"
            try:
                answer = s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 3000, **({} if plain else {"ServerSideEncryption": "AES256"}))
                self.admitted.append(key) if plain else self.acknowledged.append((key, answer["ResponseMetadata"]["RequestId"]))
                self.last = time.monotonic()
            except ClientError as e:
                code = e.response["Error"]["Code"]
                if plain and code == "AccessDenied":
                    self.refused.append(key)
                else:
                    self.failures[code] += 1
            except BotoCoreError as e:
                self.failures[type(e).__name__] += 1
                time.sleep(0.05)

    def goes_on(self, seconds: float = 30):
        """Waits for a write that begins and is acknowledged from now on."""
        now = time.monotonic() + 0.5
        wait_until("another write", lambda: self.last > now, seconds)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def minio(scratch, request):
    """A store of this test's own: it is killed."""
    folder = scratch / f"chaos-{request.node.name}"
    folder.mkdir()
    store = MinioKms(folder)
    store.start()
    client(store.endpoint, store).create_bucket(Bucket=BUCKET)
    yield store
    store.stop()


def gate(scratch, request, endpoint: str) -> Sealgate:
    return Sealgate(
        scratch / f"chaos-gate-{request.node.name}", endpoint, [{"bucket": "*", "require": "AES256"}],
        store_options={"response_timeout": "3s"},
    ).start()


def nothing_was_lost(proxy: Sealgate, store, writers: Writers):
    assert writers.admitted == []
    assert len(writers.acknowledged) > 10 and writers.refused, writers.failures
    # The id alone does not do: MinIO's is the time, and two requests may have the same.
    lines = {(line["request_id"], line["key"]): line for line in proxy.audit()}
    for key, request_id in writers.acknowledged:
        line = lines[request_id, key]
        assert (line["decision"], line["status"]) == ("allow", 200)
    direct = client(store.endpoint, store)
    pages = direct.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    assert not [key for key in keys if key.startswith("plain")]
    assert set(keys) >= {key for key, _ in writers.acknowledged}
    for key in keys[:: max(1, len(keys) // 100)]:
        assert direct.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "AES256"


def test_store_is_killed(scratch, request, minio):
    proxy = gate(scratch, request, minio.endpoint)
    try:
        writers = Writers(proxy.endpoint, minio)
        for _ in range(2):
            writers.goes_on()
            os.kill(minio.process.pid, signal.SIGKILL)
            minio.process.wait(5)
            time.sleep(1)
            minio.start()
            writers.goes_on()
        writers.end()
        nothing_was_lost(proxy, minio, writers)
        assert writers.failures["ServiceUnavailable"] > 0
    finally:
        proxy.stop()


def test_sealgate_is_killed(scratch, request, minio):
    proxy = gate(scratch, request, minio.endpoint)
    try:
        writers = Writers(proxy.endpoint, minio)
        for _ in range(3):
            writers.goes_on()
            os.kill(proxy.process.pid, signal.SIGKILL)
            proxy.process.wait(5)
            proxy.start()
            writers.goes_on()
        writers.end()
        nothing_was_lost(proxy, minio, writers)
        firsts = [line for line in proxy.audit() if line["seq"] == 1]
        assert [line["unclean"] for line in firsts] == [False, True, True, True]
    finally:
        proxy.stop()


def test_way_to_the_store_is_cut(scratch, request, minio):
    relay = Relay(int(minio.endpoint.rsplit(":", 1)[1]))
    proxy = gate(scratch, request, f"http://127.0.0.1:{relay.port}")
    try:
        writers = Writers(proxy.endpoint, minio)
        writers.goes_on()
        relay.passes.clear()
        time.sleep(5)
        assert proxy.admin("/readyz")[0] == 200
        relay.passes.set()
        writers.goes_on()
        writers.end()
        nothing_was_lost(proxy, minio, writers)
        assert writers.failures["ServiceUnavailable"] > 0
    finally:
        proxy.stop()
        relay.close()
