"""A process that hands over goes on until the new one says that it serves."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest
import yaml

from harness.life import listens_for_listeners, put
from harness.process import Process, free_port, wait_until
from harness.tools import sealgate
from harness.wire import Wire


@pytest.fixture
def pair(own):
    """A process that can hand over, and a way to start the one that is to follow."""
    proxy = own(upgrade_socket="upgrade.sock", shutdown={"drain": "5s"})
    started = []

    def start(**more) -> Process:
        file = proxy.folder / "next.yaml"
        file.write_text(yaml.safe_dump({**proxy.config, **more}, sort_keys=False))
        process = Process("sealgate", [sealgate(), "run", "--config", file, "--upgrade"], proxy.folder / "next.log")
        started.append(process)
        return process

    yield proxy, start
    for process in started:
        if process.alive():
            process.signal(signal.SIGCONT)
        process.stop(10)


def hand_over(proxy):
    """SIGQUIT, once the new process waits."""
    wait_until("the socket", lambda: listens_for_listeners(proxy), 10)
    os.kill(proxy.process.pid, signal.SIGQUIT)


def test_too_long_a_name_of_the_socket(own):
    proxy = own()
    proxy.stop()
    proxy.config["upgrade_socket"] = "x" * 120
    proxy.config_file.write_text(yaml.safe_dump(proxy.config))
    run = subprocess.run([sealgate(), "run", "--config", proxy.config_file], capture_output=True, text=True, timeout=20)
    assert run.returncode == 1 and "upgrade_socket: " in run.stderr


def serves(proxy, seconds: float):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert put(proxy) == 200
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["admin", "audit"])
def test_what_cannot_begin(pair, what):
    """It never asks for the listeners."""
    proxy, start = pair
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        other = {"admin": {"admin": {"address": address}}, "audit": {"audit": {"file": "/proc/none/audit.jsonl"}}}[what]
        process = start(**other)
        assert process.wait(10) == 1
        assert (address if what == "admin" else "/proc/none") in process.output()
    assert not (proxy.folder / "upgrade.sock").exists()
    serves(proxy, 0.5)
    assert proxy.admin("/readyz")[0] == 200


def test_an_address_that_is_taken(pair):
    """It ends the new process, and not the old one."""
    proxy, start = pair
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = f"127.0.0.1:{busy.getsockname()[1]}"
        process = start(listen=[*proxy.config["listen"], {"address": taken}])
        hand_over(proxy)
        assert process.wait(10) == 1
        assert f"cannot listen on {taken}" in process.output() and "panicked" not in process.output()
        wait_until("the word", lambda: "ended before it served" in proxy.admin("/readyz")[1], 10)
    # Longer than pingora waits after it has sent the sockets.
    serves(proxy, 7)
    assert proxy.process.alive() and proxy.admin("/readyz")[0] == 200
    assert "the hand-over failed, and this process goes on" in proxy.process.output()
    # And the next one can.
    process = start()
    hand_over(proxy)
    wait_until("the end of the old one", lambda: not proxy.process.alive(), 10)
    assert proxy.process.wait(1) == 0
    serves(proxy, 0.5)
    status, text = proxy.admin("/readyz")
    assert status == 200 and "hand-over" not in text and process.alive()
    assert not any(line["unclean"] for line in proxy.audit())


def stopped_successor(proxy, start) -> Process:
    """A new process that is stopped just before the listeners are sent to it."""
    process = start()
    wait_until("the socket", lambda: listens_for_listeners(proxy), 10)
    process.signal(signal.SIGSTOP)
    os.kill(proxy.process.pid, signal.SIGQUIT)
    return process


def test_a_new_process_that_dies_on_the_way(pair):
    proxy, start = pair
    process = stopped_successor(proxy, start)
    wait_until("the hand-over", lambda: "handing the listeners over" in proxy.process.output(), 5)
    serves(proxy, 0.5)
    process.signal(signal.SIGKILL)
    wait_until("the word", lambda: "ended before it served" in proxy.admin("/readyz")[1], 10)
    serves(proxy, 1)
    assert proxy.process.alive()


def test_a_new_process_that_is_late(pair):
    """Its word counts whenever it comes; until then there is a process that serves."""
    proxy, start = pair
    process = stopped_successor(proxy, start)
    wait_until("the word", lambda: "has not said within 10s" in proxy.admin("/readyz")[1], 15)
    serves(proxy, 0.5)
    process.signal(signal.SIGCONT)
    wait_until("the end of the old one", lambda: not proxy.process.alive(), 10)
    assert proxy.process.wait(1) == 0
    serves(proxy, 0.5)
    assert proxy.admin("/readyz") == (200, "ready\nconfiguration: generation 1\n")


def test_a_listener_that_is_added_and_one_that_is_dropped(pair):
    proxy, start = pair
    added = f"127.0.0.1:{free_port()}"
    start(listen=[{"address": added}])
    hand_over(proxy)
    wait_until("the end of the old one", lambda: not proxy.process.alive(), 10)
    with Wire(added) as wire:
        wire.request("PUT", "/b/k", body=b"x")
        assert wire.final("PUT")[1].status == 200
    with pytest.raises(OSError):
        put(proxy)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_while_the_new_process_is_awaited(pair, number):
    proxy, start = pair
    process = stopped_successor(proxy, start)
    wait_until("the hand-over", lambda: "handing the listeners over" in proxy.process.output(), 5)
    os.kill(proxy.process.pid, number)
    wait_until("the end", lambda: not proxy.process.alive(), 4)
    assert proxy.process.wait(1) == 0


def test_short_connections_meanwhile(pair):
    """What was taken in before the listeners closed is answered, though nothing else is under way."""
    proxy, start = pair
    bad, good, over = [], [], threading.Event()

    def client():
        while not over.is_set():
            try:
                with Wire(proxy.address) as wire:
                    wire.request("GET", "/b/k", "Connection: close")
                    good.append(wire.answer("GET").status)
            except (OSError, EOFError) as error:
                bad.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        running = proxy.process
        for _ in range(4):
            process = start()
            wait_until("the socket", lambda: listens_for_listeners(proxy), 10)
            os.kill(running.pid, signal.SIGQUIT)
            assert running.wait(10) == 0
            running = process
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert bad == [] and len(good) > 100 and set(good) == {200}
