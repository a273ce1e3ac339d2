#!/usr/bin/env python3
"""Sealgate at full load for a long time: memory must stay flat and no file descriptor may leak.

nginx is the store, wrk and h2load the load: small writes and reads, large ones, over TLS and HTTP/2 too, denials with Expect, clients that
break off. All on 127.0.0.1; both cores are used by all. Memory is sampled every 10 s; the highest of the last fifth may be 5 % above the highest
of the second fifth. What is allowed must be answered with success, what is not with a denial, and each work must have been done. Needs what
side_by_side.py needs, and h2load. Usage: soak.py [--binary target/release/sealgate] [--minutes 30]
"""

import argparse
import os
import pathlib
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

import side_by_side as bench

WORKS = [
    ("small writes", 12, "/data/sink/k", f'wrk.method = "PUT"\n{bench.SSE}wrk.body = string.rep("x", 4096)\n'),
    ("small reads", 12, "/data/4k", ""),
    ("small reads over TLS", 8, "/data/4k", ""),
    ("large writes", 2, "/data/big/k", f'wrk.method = "PUT"\n{bench.SSE}wrk.body = string.rep("x", {16 * bench.MIB})\n'),
    ("large reads", 2, "/data/64m", ""),
    ("denials", 8, "/data/k", 'wrk.method = "PUT"\nwrk.headers["Expect"] = "100-continue"\nwrk.headers["Content-Length"] = "1048576"\n'),
]
# title, connections, streams of each at a time, path, header lines
HTTP2_WORKS = [
    ("reads over HTTP/2", 4, 8, "/data/4k", []),
    ("writes over HTTP/2", 2, 8, "/data/sink/k", [":method: PUT", "x-amz-server-side-encryption: AES256"]),
    ("denials over HTTP/2", 2, 8, "/data/k", [":method: PUT"]),
]

# Half an hour of lines would fill the memory that stands for a disk here: one rotated file is kept.
SEALGATE = """
listen:
  - {{address: "127.0.0.1:{port}"}}
  - {{address: "127.0.0.1:{tls}", tls: {{cert: "{dir}/cert.pem", key: "{dir}/key.pem"}}}}
admin: {{address: "127.0.0.1:{admin}"}}
store: {{endpoint: "http://127.0.0.1:{store}"}}
rules:
  - {{bucket: "*", require: any}}
audit: {{stdout: false, file: "{dir}/audit.jsonl", rotate: {{bytes: 64MiB, keep: 1}}}}
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
        bench.certificate(directory)
        port, tls, store = bench.free_port(), bench.free_port(), bench.free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(bench.NGINX.format(module=user, dir=directory, store=store))
        (directory / "sealgate.yaml").write_text(SEALGATE.format(port=port, tls=tls, admin=bench.free_port(), store=store, dir=directory))
        with (
            bench.running("0,1", store, ["nginx", "-c", str(directory / "nginx.conf")], directory / "nginx.log"),
            bench.running("0,1", port, [options.binary, "run", "--config", str(directory / "sealgate.yaml")], directory / "log") as pid,
        ):
            sys.exit(0 if soak(directory, pid, port, tls, options.minutes * 60) else 1)


def commands(directory, port, tls, seconds):
    """Each work's title and the program that does it."""
    for i, (title, connections, path, script) in enumerate(WORKS):
        lua = directory / f"{i}.lua"
        lua.write_text(script)
        address = f"https://127.0.0.1:{tls}" if "TLS" in title else f"http://127.0.0.1:{port}"
        yield title, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(lua), address + path]
    for title, connections, streams, path, lines in HTTP2_WORKS:
        headers = [word for line in lines for word in ("-H", line)]
        yield title, ["h2load", f"-D{seconds}", f"-c{connections}", f"-m{streams}", *headers, f"https://127.0.0.1:{tls}{path}"]


def answered(out):
    """How many answers wrk or h2load counted, and how many of them were no success."""
    if codes := re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out, re.M):
        counts = [int(count) for count in codes.groups()]
        return sum(counts), counts[2] + counts[3]
    done = re.search(r"^\s*(\d+) requests in", out, re.M)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return int(done[1]) if done else 0, int(refused[1]) if refused else 0


def soak(directory, pid, port, tls, seconds):
    quiet = fds(pid)
    loads = [(title, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) for title, command in commands(directory, port, tls, int(seconds))]
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
    good = True
    for title, load in loads:
        out, _ = load.communicate(timeout=120)
        told = [line.strip() for line in out.splitlines() if re.search("requests in|Socket errors|Non-2xx|status codes", line)]
        print(title, *told, sep=": ")
        done, refused = answered(out)
        good &= done > seconds and refused == (done if title.startswith("denials") else 0)
    time.sleep(35)  # lingering connections, and those kept to the store, end within 30 s
    fifth = len(samples) // 5
    parts = [[memory for memory, _ in samples[i * fifth : (i + 1) * fifth]] for i in range(5)]
    early, late = max(parts[1]), max(parts[4])
    after = fds(pid)
    print("memory, mean and highest of each fifth:", ", ".join(f"{sum(part) / len(part):.1f}/{max(part):.1f}" for part in parts), "MiB")
    print(f"memory: {early:.1f} MiB in the second fifth, {late:.1f} in the last ({100 * (late / early - 1):+.1f} %)")
    print(f"file descriptors: {quiet} before, {max(f for _, f in samples)} at most, {after} after; memory after: {bench.rss_mib(pid):.1f} MiB")
    return good and late <= early * 1.05 and after <= quiet + 2


if __name__ == "__main__":
    main()
