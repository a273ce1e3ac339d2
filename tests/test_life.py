"""A configuration that changes under way, a process that ends, and one that takes over."""

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from harness.certificates import Authority
from harness.clock import took
from harness.life import OPEN, STRICT, generation, hang_up, in_force, put, successor, write
from harness.process import Process, free_port, wait_until
from harness.rules import EXPECT, SSE
from harness.secure import secure
from harness.tools import sealgate
from harness.uploads import Uploads
from harness.wire import Wire, exchange


@pytest.mark.parametrize("how", ["signal", "file"])
def test_reload(own, how):
    proxy = own()
    assert put(proxy) == 200
    write(proxy, rules=STRICT)
    if how == "signal":
        hang_up(proxy)
    in_force(proxy, 2)
    assert (put(proxy), put(proxy, SSE)) == (403, 200)

    def counted():
        metrics = proxy.metrics()
        return metrics if metrics["sealgate_config_generation"] == metrics['sealgate_config_reloads_total{result="applied"}'] + 1 else None

    metrics = wait_until("that it is counted", counted, 5)
    applied = metrics['sealgate_config_reloads_total{result="applied"}']
    assert applied == 1 or (how == "signal" and applied == 2), "seen at a look at the file, and by the signal"
    assert metrics["sealgate_config_age_seconds"] < 60
    assert abs(metrics["sealgate_config_loaded_timestamp_seconds"] - time.time()) < 60


def test_policy_files_are_watched(own, scratch):
    policy = scratch / "watched.json"
    policy.write_text(json.dumps({"require": "AES256"}))
    proxy = own(rules=[{"bucket": "*", "policy": str(policy)}])
    assert (put(proxy), put(proxy, SSE)) == (403, 200)
    policy.write_text(json.dumps({"require": "aws:kms"}))
    in_force(proxy, 2)
    assert put(proxy, SSE) == 403


def test_swapped_symbolic_link(own, scratch):
    """As the kubelet updates a ConfigMap: files are links into ..data, and ..data is swapped."""
    volume = scratch / "volume"
    proxy = own()
    for version, rules in (("..1", OPEN), ("..2", STRICT)):
        (volume / version).mkdir(parents=True)
        config = {**proxy.config, "rules": rules, "audit": {"stdout": False, "file": str(volume / "audit.jsonl")}}
        (volume / version / "sealgate.yaml").write_text(yaml.safe_dump(config))
    (volume / "..data").symlink_to("..1")
    (volume / "sealgate.yaml").symlink_to("..data/sealgate.yaml")
    proxy.stop()
    process = Process("sealgate", [sealgate(), "run", "--config", volume / "sealgate.yaml"], scratch / "volume.log")
    try:
        process.wait_ready(lambda: proxy.admin("/readyz")[0] == 200)
        assert put(proxy) == 200
        (volume / "..next").symlink_to("..2")
        (volume / "..next").rename(volume / "..data")
        shutil.rmtree(volume / "..1")
        in_force(proxy, 2)
        assert put(proxy) == 403
    finally:
        process.stop(10)


def test_ready_is_said_once_it_listens(own):
    proxy = own()
    proxy.stop()
    for _ in range(5):
        process = Process("sealgate", [sealgate(), "run", "--config", proxy.config_file], proxy.folder / "again.log")
        try:
            deadline = time.monotonic() + 20
            while proxy.admin("/readyz")[0] != 200:
                assert time.monotonic() < deadline, process.output()
            assert put(proxy) == 200
        finally:
            process.stop(10)


def test_broken_configuration_changes_nothing(own):
    proxy = own(rules=STRICT)
    write(proxy, rules=[{"bucket": "*", "require": "AES265"}])
    wait_until("the refusal", lambda: "AES265" in proxy.admin("/readyz")[1], 10)
    status, text = proxy.admin("/readyz")
    assert status == 200 and "generation 1" in text and "rules[0].require" in text
    assert "AES265" in json.loads(proxy.admin("/config")[1])["refused"]
    wait_until("its count", lambda: proxy.metric("sealgate_config_reloads_total", result="refused") == 1, 5)
    assert "stays in force" in proxy.process.output()
    assert (put(proxy), put(proxy, SSE)) == (403, 200)
    write(proxy, rules=OPEN)
    in_force(proxy, 2)
    assert json.loads(proxy.admin("/config")[1])["refused"] is None and put(proxy) == 200
    assert proxy.metrics()['sealgate_config_reloads_total{result="refused"}'] == 1


def test_missing_file_that_comes_later(own, scratch):
    """What the refused configuration names is not watched by the one in force."""
    proxy = own()
    policy = scratch / "later.json"
    write(proxy, rules=[{"bucket": "*", "policy": str(policy)}])
    wait_until("the refusal", lambda: "later.json" in proxy.admin("/readyz")[1], 10)
    policy.write_text(json.dumps({"require": "any"}))
    in_force(proxy, 2)
    assert put(proxy) == 403


def test_what_needs_a_restart_is_said(own):
    proxy = own()
    write(proxy, admin={"address": "127.0.0.1:1"}, rules=STRICT)
    in_force(proxy, 2)
    assert "admin has changed, which takes effect after a restart" in proxy.process.output()
    assert put(proxy) == 403


def test_request_under_way_keeps_its_configuration(own, fake):
    proxy = own()
    with Wire(proxy.address) as wire:
        wire.send(f"PUT /b/k HTTP/1.1\r\nHost: {proxy.address}\r\nContent-Length: 10\r\n\r\nhello".encode())
        wait_until("the store's request", lambda: any(seen.target == "/b/k" for seen in fake.seen), 5)
        write(proxy, rules=STRICT)
        in_force(proxy, 2)
        wire.send(b"hello")
        assert wire.final("PUT")[1].status == 200
        # The next one on the same connection is decided by the new one.
        wire.request("PUT", "/b/k", body=b"x")
        assert wire.final("PUT")[1].status == 403


def test_configuration_is_shown_without_secrets(own):
    arn = "arn:aws:iam::111122223333:user/app"
    proxy = own(clients=[{"access_key": "AKIDEXAMPLE", "secret_key": "tellnobody", "principal": arn}])
    status, text = proxy.admin("/config")
    assert status == 200 and "tellnobody" not in text
    config = json.loads(text)["config"]
    assert config["rules"][0]["bucket"] == "*"
    assert config["clients"][0] == {**config["clients"][0], "access_key": "AKIDEXAMPLE", "secret_key": "***", "principal": arn}


def test_log_level_at_run_time(own):
    proxy = own()

    def log(method: str, path: str):
        link = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=5)
        link.request(method, path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()

    def line(method: str):
        """Has a request served; tells whether the log has a line of it, which is one for debugging."""
        with Wire(proxy.address) as wire:
            wire.request(method, "/b/k", *(["Content-Length: 0"] if method == "PUT" else []))
            request_id = wire.final(method)[1]["x-amz-request-id"]
        proxy.audit_of(request_id)
        return lambda: any(" DEBUG " in line and request_id in line and "a request ended" in line
                           for line in proxy.process.output().splitlines())

    def says(method: str) -> bool:
        return wait_until("its line", line(method), 5)

    def is_silent(method: str) -> bool:
        has_come = line(method)
        time.sleep(0.1)
        return not has_come()

    assert is_silent("PUT") and is_silent("GET")
    assert log("PUT", "/log?filter=debug")[0] == 200
    assert says("PUT") and says("GET")
    assert log("PUT", "/log?filter=info")[0] == 200
    assert is_silent("PUT") and is_silent("GET")
    assert log("PUT", "/log?filter=sealgate%3Ddebug,pingora=trace")[0] == 200
    assert "sealgate=debug" in log("GET", "/log")[1] and says("GET")
    for nonsense in ("bogus", "", "info,,", "sealgate=verbose"):
        status, text = log("PUT", f"/log?filter={nonsense}")
        assert status == 400, (nonsense, text)
    secret = "X-Amz-Signature=0123456789abcdef"
    with Wire(proxy.address) as wire:
        wire.request("GET", f"/b/k?{secret}&X-Amz-Algorithm=AWS4-HMAC-SHA256")
        wire.final("GET")
    assert "0123456789abcdef" not in proxy.process.output()
    assert log("PUT", "/log?filter=no=such=filter")[0] == 400
    assert log("POST", "/log?filter=info")[0] == 405


def test_drain(own):
    """Not ready at once; no new connection; the upload under way finishes; then the process ends with its file ended."""
    proxy = own(shutdown={"drain": "20s"})
    with Wire(proxy.address) as wire:
        wire.send(f"PUT /b/k HTTP/1.1\r\nHost: {proxy.address}\r\nContent-Length: 10\r\n\r\nhello".encode())
        wait_until("the request", lambda: proxy.metrics()["sealgate_requests_active"] == 1, 5)
        os.kill(proxy.process.pid, signal.SIGTERM)
        wait_until("not ready", lambda: proxy.admin("/readyz")[0] == 503, 2)
        wait_until("no new connection", lambda: not _connects(proxy.port), 2)
        assert proxy.process.alive()
        wire.send(b"hello")
        _, answer = wire.final("PUT")
        assert answer.status == 200 and answer["connection"] == "close"
    wait_until("the end", lambda: not proxy.process.alive(), 5)
    assert proxy.process.wait(1) == 0
    line = proxy.audit()[-1]
    assert (line["status"], line["bytes_in"]) == (200, 10)
    assert int(proxy.audit_file.with_name("audit.jsonl.end").read_text()) == proxy.audit_file.stat().st_size


def test_drain_has_an_end(own):
    proxy = own(shutdown={"drain": "1s"})
    with Wire(proxy.address) as wire:
        wire.send(f"PUT /b/k HTTP/1.1\r\nHost: {proxy.address}\r\nContent-Length: 10\r\n\r\nhello".encode())
        wait_until("the request", lambda: proxy.metrics()["sealgate_requests_active"] == 1, 5)
        begun = time.monotonic()
        os.kill(proxy.process.pid, signal.SIGTERM)
        wait_until("the end", lambda: not proxy.process.alive(), 10)
        assert 0.8 < time.monotonic() - begun < 10


def test_start_while_the_old_process_drains(own):
    """It has the same addresses and the same audit file, and waits for the end that frees them."""
    proxy = own(shutdown={"drain": "20s"})
    old = proxy.process
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", length=10)
        wire.send(b"hello")
        wait_until("the upload", lambda: proxy.metric("sealgate_requests_active") == 1, 5)
        old.signal(signal.SIGTERM)
        wait_until("the drain", lambda: proxy.admin("/readyz")[0] == 503, 5)
        new = Process("sealgate", [sealgate(), "run", "--config", proxy.config_file], proxy.folder / "next.log")
        proxy.process = new
        wait_until("the wait", lambda: "waiting for its end" in new.output(), 5)
        # Only what is said when it serves is done then.
        new.signal(signal.SIGHUP)
        time.sleep(1)
        assert new.alive() and old.alive()
        wire.send(b"world")
        assert wire.answer("PUT").status == 200
    assert old.wait(5) == 0
    wait_until("the new one", lambda: proxy.admin("/readyz")[0] == 200, 10)
    in_force(proxy, 2)
    assert put(proxy) == 200
    assert not any(line["unclean"] for line in proxy.audit())


@pytest.mark.parametrize("waits", [False, True])
def test_address_of_somebody_else(own, waits):
    """Is said, also where another process' end was waited for first; and the audit file counts as ended."""
    proxy = own(shutdown={"drain": "20s"})
    put(proxy)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = f"127.0.0.1:{busy.getsockname()[1]}"
        next_file = proxy.folder / "next.yaml"
        next_file.write_text(yaml.safe_dump({**proxy.config, "admin": {"address": taken}}))
        if not waits:
            proxy.stop()
        new = Process("sealgate", [sealgate(), "run", "--config", next_file], proxy.folder / "next.log")
        if waits:
            wait_until("the wait", lambda: "waiting for its end" in new.output(), 5)
            proxy.stop()
        assert new.wait(5) == 1
        assert f"cannot listen on {taken}: Address already in use" in new.output()
        new.stop()
    proxy.start()
    put(proxy)
    assert [line["unclean"] for line in proxy.audit()] == [False, False]


def hang_ups_are_held(process: Process) -> bool:
    """Whether a SIGHUP has a handler (proc(5))."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGHUP - 1) & 1)


def test_hang_up_while_the_configuration_is_read(scratch):
    """Nor at any later time before it serves."""
    pipe = scratch / "slow.yaml"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    process = Process("sealgate", [sealgate(), "run", "--config", pipe], scratch / "slow.log")
    try:
        wait_until("a handler", lambda: hang_ups_are_held(process), 10, 0.001)
        process.signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.alive()
        os.write(writer, b"listen: nothing\n")
        os.close(writer)
        assert process.wait(10) == 1 and "listen" in process.output()
    finally:
        process.stop()


def test_hang_up_while_listeners_are_awaited(own):
    proxy = own(upgrade_socket="upgrade.sock")
    old = proxy.process
    new = successor(proxy)
    try:
        new.signal(signal.SIGHUP)
        time.sleep(0.3)
        assert new.alive()
        old.signal(signal.SIGQUIT)
        assert old.wait(10) == 0
        in_force(proxy, 2)
        assert put(proxy) == 200
    finally:
        new.stop(10)


def test_idle_connections_do_not_hold_the_drain(own):
    proxy = own(shutdown={"drain": "30s"})
    with Wire(proxy.address) as wire:
        wire.request("GET", "/b/k")
        assert wire.final("GET")[1].status == 200
        begun = time.monotonic()
        os.kill(proxy.process.pid, signal.SIGTERM)
        wait_until("the end", lambda: not proxy.process.alive(), 15)
        assert time.monotonic() - begun < 20
        assert wire.ends()


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_reloads_under_load(own, fake):
    """10 reloads, the policy the same in other words each time, under 100 clients: no failed request, no wrong decision."""
    proxy = own(rules=STRICT)
    uploads, reloads = Uploads(proxy, fake, 100), []
    for i in range(10):
        write(proxy, rules=[{"bucket": "*", "require": "any" if i % 2 else {"sse": ["AES256", "aws:kms"]}}])
        reloads.append(time.monotonic())
        before = generation(proxy)
        hang_up(proxy)
        # The look at the files, once a second, may have seen the change, too: then it is read twice.
        wait_until("the reload", lambda: generation(proxy) > before, 10)
        uploads.goes_on()
    uploads.end()
    uploads.assert_none_failed(*reloads)
    assert min(uploads.turns) >= 20
    assert 10 <= proxy.metric("sealgate_config_reloads_total", result="applied") == generation(proxy) - 1
    assert proxy.metric("sealgate_config_reloads_total", result="refused") == 0


def test_hand_over_under_load(own, fake):
    """3 processes, one after the other, on the same listener, under 100 clients: no failed request, no wrong decision, no line lost."""
    proxy = own(rules=STRICT, upgrade_socket="upgrade.sock", shutdown={"drain": "20s"})
    uploads, hand_overs = Uploads(proxy, fake, 100), []
    started = []
    try:
        for i in range(3):
            before = proxy.process
            started.append(successor(proxy, f"log{i}"))
            hand_overs.append(time.monotonic())
            os.kill(before.pid, signal.SIGQUIT)
            wait_until("the new process", lambda: proxy.admin("/readyz")[0] == 200 and generation(proxy) == 1, 20)
            wait_until("the end of the old one", lambda: not before.alive(), 40)
            assert before.wait(1) == 0, before.output()[-2000:]
            proxy.process = started[-1]
            uploads.goes_on()
        uploads.end()
    finally:
        for process in started:
            process.stop(20)
    uploads.assert_none_failed(*hand_overs)
    assert min(uploads.turns) >= 6
    lines = proxy.audit()
    starts = {}
    for line in lines:
        starts.setdefault(line["start"], []).append(line["seq"])
    assert len(starts) == 4
    assert all(sorted(seqs) == list(range(1, len(seqs) + 1)) for seqs in starts.values())
    assert not any(line["unclean"] for line in lines)


def test_hand_over_without_a_successor_does_nothing(own):
    proxy = own(upgrade_socket="upgrade.sock")
    os.kill(proxy.process.pid, signal.SIGQUIT)
    wait_until("the message", lambda: "no new process waits" in proxy.process.output(), 5)
    assert put(proxy) == 200 and proxy.process.alive()


def test_upgrade_without_a_socket(own):
    proxy = own()
    run = subprocess.run([sealgate(), "run", "--config", proxy.config_file, "--upgrade"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 1 and "upgrade_socket" in run.stderr


def _switches(pid: int) -> dict[str, int]:
    """How often the threads of a process went to sleep, or were made to wait, by their names."""
    switches = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        count = int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"])
        switches[status["Name"]] = switches.get(status["Name"], 0) + count
    return switches


def _switched(pid: int, what) -> dict[str, int]:
    """How often they do so while something is done."""
    before = _switches(pid)
    what()
    return {name: count - before[name] for name, count in _switches(pid).items() if name in before}


def test_admin_port_has_a_thread_of_its_own(own):
    """Which wakes up for each of its requests, while those that serve clients sleep."""
    proxy = own()
    pid = proxy.process.pid
    names = [Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip() for thread in os.listdir(f"/proc/{pid}/task")]
    assert names.count("admin") == 1 and "gate" in names, names

    def asks():
        for _ in range(200):
            assert proxy.admin("/metrics")[0] == 200

    begun = time.monotonic()
    woken = _switched(pid, asks)
    span = time.monotonic() - begun
    assert woken.pop("admin") >= 200
    # Some wake up by the clock, whoever asks.
    rest = _switched(pid, lambda: time.sleep(span))
    assert all(count < rest[name] + 100 for name, count in woken.items()), (woken, rest)


def test_admin_port_answers_under_load(own):
    proxy = own(rules=STRICT)
    load = Process("saturate", [sys.executable, "-m", "harness.saturate", proxy.port], proxy.folder / "load.log", cwd=Path(__file__).parent)
    try:
        wait_until("the load", lambda: proxy.metric("sealgate_denied_total") > 1000, 20)
        denied, begun = proxy.metric("sealgate_denied_total"), time.monotonic()
        times = []
        while len(times) < 40 or time.monotonic() - begun < 2:
            times.append(_timed(proxy))
            time.sleep(0.01)
        denied = proxy.metric("sealgate_denied_total") - denied
        assert load.alive(), load.output()
    finally:
        load.stop()
    # How many there are, and not what they cost, which is as much of the machine as others leave.
    assert denied > 5000, "it has nothing to do"
    assert max(times) < 1 and sorted(times)[len(times) // 2] < 0.2


def _timed(proxy) -> float:
    begun = time.monotonic()
    assert proxy.admin("/readyz")[0] == 200
    return time.monotonic() - begun


def test_expect_is_denied_after_a_reload(own):
    proxy = own()
    write(proxy, rules=STRICT)
    hang_up(proxy)
    in_force(proxy, 2)
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", EXPECT, length=1000)
        before, answer = wire.final("PUT")
        assert not before and answer.status == 403


def test_listeners_are_matched_by_address(own, scratch):
    """TLS on one that is open takes effect at once, though another is added, which needs a restart; and so it is said."""
    proxy = own()
    pki = Authority(scratch / "life", "ca")
    cert, key = pki.issue("server", "DNS:localhost")
    added = f"127.0.0.1:{free_port()}"
    tls = {"address": proxy.address, "tls": {"cert": str(cert), "key": str(key)}}
    write(proxy, listen=[{"address": added}, tls])
    in_force(proxy, 2)
    with secure(proxy.address, pki.cert) as wire:
        wire.request("PUT", "/b/k", body=b"x")
        assert wire.final("PUT")[1].status == 200
    assert not exchange(proxy.address, b"GET /b/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP")
    shown = json.loads(proxy.admin("/config")[1])
    assert shown["needs_restart"] == ["listen[].address"]
    assert [(one["address"], one["tls"] is not None) for one in shown["config"]["listen"]] == [(proxy.address, True)]
    # What the file does not name any more stays open as it is.
    write(proxy, listen=[{"address": added}])
    in_force(proxy, 3)
    with secure(proxy.address, pki.cert) as wire:
        wire.request("GET", "/b/k")
        assert wire.final("GET")[1].status == 200


def test_what_is_in_force_is_shown(own):
    proxy = own()
    before = json.loads(proxy.admin("/config")[1])
    assert before["needs_restart"] == []
    audit = {**proxy.config["audit"], "file": "other.jsonl"}
    write(proxy, audit=audit, admin={"address": "127.0.0.1:1"}, shutdown={"drain": "7s"}, upgrade_socket="u.sock", rules=STRICT)
    in_force(proxy, 2)
    after = json.loads(proxy.admin("/config")[1])
    names = ["admin", "audit", "shutdown.drain", "upgrade_socket"]
    assert after["needs_restart"] == names
    assert f"after a restart: {', '.join(names)}\n" in proxy.admin("/readyz")[1]
    for name in ("admin", "audit", "shutdown"):
        assert after["config"][name] == before["config"][name], name
    assert after["config"]["rules"] != before["config"]["rules"]


def test_admin_clients_that_do_not_read_make_room(own):
    proxy = own()
    clients = []
    try:
        for _ in range(64):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", proxy.admin_port))
            client.setblocking(False)
            clients.append(client)
            try:
                for _ in range(200):
                    client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            except (BlockingIOError, ConnectionError):
                pass
        for _ in range(10):
            assert proxy.admin("/healthz")[0] == 200 and proxy.admin("/readyz")[0] == 200
    finally:
        for client in clients:
            client.close()


def test_silent_admin_clients_make_room(own):
    """Whoever came first goes where there are 64, whether or not anything was ever said."""
    proxy = own()
    clients = []
    try:
        for i in range(200):
            client = socket.create_connection(("127.0.0.1", proxy.admin_port), 5)
            clients.append(client)
            if i % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        begun = time.monotonic()
        for _ in range(5):
            assert proxy.admin("/healthz")[0] == 200 and proxy.admin("/readyz")[0] == 200
        assert took(begun) < 2
        assert _was_ended(clients[0], 2), "the oldest made room"
        assert not _was_ended(clients[-1], 0.2), "the latest is still there"
    finally:
        for client in clients:
            client.close()


def _was_ended(client: socket.socket, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_an_admin_connection_has_an_end(own):
    """It lasts 10 s at most, however much is asked on it; one that asks nothing, or never to the end, 5 s."""
    proxy = own()
    begun, ends = time.monotonic(), {}

    def busy():
        link = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=5)
        link.auto_open = 0
        link.connect()
        asked = 0
        try:
            while time.monotonic() - begun < 15:
                link.request("GET", "/healthz")
                answer = link.getresponse()
                assert answer.status == 200 and answer.read()
                asked += 1
                time.sleep(0.05)
        except (OSError, http.client.HTTPException):
            pass
        ends["busy"] = time.monotonic() - begun
        ends["asked"] = asked

    def ended(name: str, first: bytes, drip: bytes = b""):
        with socket.create_connection(("127.0.0.1", proxy.admin_port), 15) as link:
            link.sendall(first)
            while time.monotonic() - begun < 15 and not _was_ended(link, 0.3):
                try:
                    link.sendall(drip)
                except OSError:
                    break
        ends[name] = time.monotonic() - begun

    threads = [threading.Thread(target=busy, daemon=True)] + [
        threading.Thread(target=ended, args=args, daemon=True)
        for args in (("silent", b""), ("half", b"GET /he"), ("drips", b"GET /healthz HTTP/1.1\r\nX: ", b"x"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ends["asked"] > 50 and 8 < ends["busy"] < 14, ends
    assert all(4 < ends[name] < 9 for name in ("silent", "half", "drips")), ends


def test_out_of_file_descriptors_the_admin_port_rests(own):
    proxy = own()
    pid = proxy.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
    with socket.create_connection(("127.0.0.1", proxy.admin_port)):
        time.sleep(0.5)
        before = _ticks(pid)
        time.sleep(2)
        assert _ticks(pid) - before < 0.5 * os.sysconf("SC_CLK_TCK")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        wait_until("an answer", lambda: proxy.admin("/healthz")[0] == 200, 5)


def _ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
