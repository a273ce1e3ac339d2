#!/usr/bin/env python3
"""Sealgate at full load for a long time: memory must stay flat and no file descriptor may leak.

nginx is the store, wrk the load: small writes and reads, large ones, denials with and without Expect, clients that break off. All on
127.0.0.1; both cores are used by all. Memory is sampled every 10 s; the highest of the last fifth may be 5 % above the highest of the second
fifth. Usage: soak.py [--binary target/release/sealgate] [--minutes 30]
"""

import argparse
import os
import pathlib
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

import side_by_side as bench

WORKS = [
    ("small writes", 16, "/data/sink/k", f'wrk.method = "PUT"\n{bench.SSE}wrk.body = string.rep("x", 4096)\n'),
    ("small reads", 16, "/data/4k", ""),
    ("large writes", 2, "/data/big/k", f'wrk.method = "PUT"\n{bench.SSE}wrk.body = string.rep("x", {16 * bench.MIB})\n'),
    ("large reads", 2, "/data/64m", ""),
    ("denials", 8, "/data/k", 'wrk.method = "PUT"\nwrk.headers["Expect"] = "100-continue"\nwrk.headers["Content-Length"] = "1048576"\n'),
]

# No file of lines: half an hour of them would fill the memory that stands for a disk here.
SEALGATE = """
listen: [{{address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
store: {{endpoint: "http://127.0.0.1:{store}"}}
rules:
  - {{bucket: "*", require: any}}
audit: {{stdout: false, file: /dev/null}}
"""


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def break_off(port, stop):
    """Clients that end in the middle of a body, or of a response."""
    head = f"PUT /data/sink/k HTTP/1.1\r\nHost: x\r\nx-amz-server-side-encryption: AES256\r\nContent-Length: {bench.MIB}\r\n\r\n"
    while not stop.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as link:
                if random.random() < 0.5:
                    link.sendall(head.encode() + b"x" * random.randrange(100_000))
                else:
                    link.sendall(b"GET /data/64m HTTP/1.1\r\nHost: x\r\n\r\n")
                    link.recv(random.randrange(1, 100_000))
        except OSError:
            pass
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/sealgate")
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = pathlib.Path(name)
        bench.objects(directory)
        port, store = bench.free_port(), bench.free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(bench.NGINX.format(module=user, dir=directory, store=store))
        (directory / "sealgate.yaml").write_text(SEALGATE.format(port=port, admin=bench.free_port(), store=store))
        with (
            bench.running("0,1", store, ["nginx", "-c", str(directory / "nginx.conf")], directory / "nginx.log"),
            bench.running("0,1", port, [options.binary, "run", "--config", str(directory / "sealgate.yaml")], directory / "log") as pid,
        ):
            sys.exit(0 if soak(directory, pid, port, options.minutes * 60) else 1)


def soak(directory, pid, port, seconds):
    quiet = fds(pid)
    loads = []
    for i, (_, connections, path, script) in enumerate(WORKS):
        lua = directory / f"{i}.lua"
        lua.write_text(script)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "--timeout", "60s", "-s", str(lua), f"http://127.0.0.1:{port}{path}"]
        loads.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stop = threading.Event()
    thread = threading.Thread(target=break_off, args=(port, stop))
    thread.start()
    samples = []
    began = time.monotonic()
    end = began + seconds
    while time.monotonic() < end:
        time.sleep(min(10, seconds / 25))
        samples.append((bench.rss_mib(pid), fds(pid)))
        if len(samples) % 6 == 0:
            print(f"{time.monotonic() - began:5.0f} s: {samples[-1][0]:.1f} MiB, {samples[-1][1]} file descriptors", flush=True)
    stop.set()
    thread.join()
    for (title, *_), load in zip(WORKS, loads):
        out, _ = load.communicate(timeout=120)
        print(title, *[line.strip() for line in out.splitlines() if "requests in" in line or "Socket errors" in line], sep=": ")
    time.sleep(35)  # lingering connections, and those kept to the store, end within 30 s
    fifth = len(samples) // 5
    early, late = (max(m for m, _ in part) for part in (samples[fifth : 2 * fifth], samples[-fifth:]))
    after = fds(pid)
    print(f"memory: {early:.1f} MiB in the second fifth, {late:.1f} in the last ({100 * (late / early - 1):+.1f} %)")
    print(f"file descriptors: {quiet} before, {max(f for _, f in samples)} at most, {after} after; memory after: {bench.rss_mib(pid):.1f} MiB")
    return late <= early * 1.05 and after <= quiet + 2


if __name__ == "__main__":
    main()
