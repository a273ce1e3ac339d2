#!/usr/bin/env python3
"""CPU time a request of Sealgate beside HAProxy, nginx as the store, wrk as the load; all on 127.0.0.1.

The proxy has one core for itself, store and load share the other. Each proxy logs every request to a file and
denies a PUT without x-amz-server-side-encryption. CPU is the on-CPU time of all the proxy's threads
(/proc/PID/task/*/schedstat) over a run, divided by the requests that wrk counts. Needs haproxy, nginx with its dav
module, wrk and taskset; builds nothing. Usage: side_by_side.py [--binary target/release/sealgate] [--rounds 2]
"""

import argparse
import contextlib
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PROXY_CORE, LOAD_CORE = "0", "1"
MIB = 1 << 20
SSE = 'wrk.headers["x-amz-server-side-encryption"] = "AES256"\n'

TLS = "TLS: "
#: What rustls, OpenSSL and wrk agree on where nobody else is asked: the first of both sides' lists, so pinned for HAProxy.
CIPHER = "TLS_AES_256_GCM_SHA384"
# name, seconds, connections, path, wrk script, the bar against HAProxy (None: shown only)
WORKS = [
    ("denied PUT, no body", 4, 16, "/data/k", 'wrk.method = "PUT"\n', 1.3),
    (
        "denied PUT, Expect, new connection",
        4,
        16,
        "/data/k",
        'wrk.method = "PUT"\nwrk.headers["Expect"] = "100-continue"\nwrk.headers["Content-Length"] = "1048576"\n',
        1.3,
    ),
    ("PUT 4 KiB", 4, 16, "/data/sink/k", f'wrk.method = "PUT"\n{SSE}wrk.body = string.rep("x", 4096)\n', 1.7),
    ("GET 4 KiB", 4, 16, "/data/4k", "", 1.4),
    ("PUT 64 MiB", 12, 2, "/data/big/k", f'wrk.method = "PUT"\n{SSE}wrk.body = string.rep("x", {64 * MIB})\n', 1.0),
    ("GET 64 MiB", 12, 2, "/data/64m", "", 1.0),
    # Over TLS 1.3 on kept connections, both proxies with the same cipher and certificate.
    (TLS + "denied PUT", 4, 16, "/data/k", 'wrk.method = "PUT"\n', 1.3),
    (TLS + "GET 64 MiB", 12, 2, "/data/64m", "", 1.1),
]

DONE = 'done = function(s) io.write("requests ", s.requests, " errors ", s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout, "\\n") end\n'

NGINX = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.err;
{module}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  keepalive_requests 1000000000;
  sendfile on;
  # What a store says that encrypts: Sealgate takes no other answer for a success.
  add_header x-amz-server-side-encryption $http_x_amz_server_side_encryption;
  server {{
    listen 127.0.0.1:{store};
    location /data/sink/ {{ return 200; }}
    location /data/big/ {{ root {dir}; dav_methods PUT; create_full_put_path on; }}
    location / {{ root {dir}; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls} ssl crt {dir}/both.pem ciphersuites {cipher} ssl-min-ver TLSv1.3
  maxconn 8192
  http-request deny deny_status 403 if METH_PUT !{{ req.hdr(x-amz-server-side-encryption) -m found }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{store}
"""

SEALGATE = """
listen:
  - {{address: "127.0.0.1:{port}"}}
  - {{address: "127.0.0.1:{tls}", tls: {{cert: "{dir}/cert.pem", key: "{dir}/key.pem", min_version: "1.3"}}}}
admin: {{address: "127.0.0.1:{admin}"}}
store: {{endpoint: "http://127.0.0.1:{store}"}}
rules:
  - {{bucket: "*", require: any}}
audit: {{stdout: false, file: "{dir}/audit.jsonl"}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(core, port, command, log):
    with open(log, "wb") as out:
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(100):
            if process.poll() is not None:
                sys.exit(f"{command[0]} ended at once; see {log}:\n{pathlib.Path(log).read_text()[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_ns(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def rss_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def certificate(directory):
    """One for both, and one file of both for HAProxy."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split()
    subprocess.run(["openssl", "req", "-x509", *curve, "-keyout", key, "-out", cert], capture_output=True, check=True)
    (directory / "both.pem").write_bytes(cert.read_bytes() + key.read_bytes())


def same_cipher(port):
    """The cipher that a client with wrk's defaults gets must be the one that is compared."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secure:
        if secure.cipher()[0] != CIPHER:
            sys.exit(f"port {port} speaks {secure.cipher()[0]}, not {CIPHER}: not what was to be measured")


def load(directory, port, seconds, connections, path, script, scheme="http"):
    lua = directory / "load.lua"
    lua.write_text(script + DONE)
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    out = subprocess.run([*command, "-s", str(lua), f"{scheme}://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    requests, errors = map(int, re.search(r"requests (\d+) errors (\d+)", out.stdout).groups())
    non2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", out.stdout)
    return requests, errors, int(non2xx[1]) if non2xx else 0


def measure(directory, name, pid, port, work):
    title, seconds, connections, path, script, _ = work
    scheme = "https" if title.startswith(TLS) else "http"
    load(directory, port, 1, connections, path, script, scheme)
    before = cpu_ns(pid)
    requests, errors, non2xx = load(directory, port, seconds, connections, path, script, scheme)
    used = cpu_ns(pid) - before
    expected = requests if "denied" in title else 0
    if requests == 0 or abs(non2xx - expected) > connections:
        sys.exit(f"{name}, {title}: {requests} requests, {non2xx} not 2xx, {errors} errors: not what was to be measured")
    return used / requests / 1000


def idle_memory(pid, port):
    quiet = rss_mib(pid)
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
    for s in sockets:
        # Each has been used, and is idle since.
        s.sendall(b"GET /data/4k HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(10)
        got = b""
        while len(got) < 4096:
            got += s.recv(65536)
    time.sleep(0.5)
    full = rss_mib(pid)
    for s in sockets:
        s.close()
    return quiet, full


def objects(directory):
    """What nginx serves, and where it writes."""
    os.chmod(directory, 0o755)
    data = directory / "data"
    (data / "big").mkdir(parents=True)
    (data / "4k").write_bytes(b"x" * 4096)
    (data / "64m").write_bytes(b"x" * 64 * MIB)
    for path in (data, data / "big"):
        os.chmod(path, 0o777)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/sealgate")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="a part of the work's name")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    for tool in ("haproxy", "nginx", "wrk", "taskset", "openssl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing; install it (Debian: apt-get install haproxy nginx libnginx-mod-http-dav-ext wrk util-linux)")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = pathlib.Path(name)
        objects(directory)
        certificate(directory)
        store, ports = free_port(), {"haproxy": free_port(), "sealgate": free_port()}
        secure = {proxy: free_port() for proxy in ports}
        fill = {"dir": directory, "store": store, "admin": free_port(), "cipher": CIPHER}
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(NGINX.format(module=user, **fill))
        (directory / "haproxy.cfg").write_text(HAPROXY.format(port=ports["haproxy"], tls=secure["haproxy"], **fill))
        (directory / "sealgate.yaml").write_text(SEALGATE.format(port=ports["sealgate"], tls=secure["sealgate"], **fill))
        commands = {
            "haproxy": ["haproxy", "-db", "-f", str(directory / "haproxy.cfg")],
            "sealgate": [options.binary, "run", "--config", str(directory / "sealgate.yaml")],
        }
        results = {}
        with running(LOAD_CORE, store, ["nginx", "-c", str(directory / "nginx.conf")], directory / "nginx.log"):
            for _ in range(options.rounds):
                for proxy, command in commands.items():
                    with running(PROXY_CORE, ports[proxy], command, directory / f"{proxy}.log") as pid:
                        same_cipher(secure[proxy])
                        if not options.only:
                            results.setdefault(("memory", proxy), []).append(idle_memory(pid, ports[proxy]))
                        for work in WORKS:
                            if options.only in work[0]:
                                port = secure[proxy] if work[0].startswith(TLS) else ports[proxy]
                                value = measure(directory, proxy, pid, port, work)
                                results.setdefault((work[0], proxy), []).append(value)
        report(results, options)


def report(results, options):
    failed = False
    print("| work (CPU us a request, each round) | HAProxy | Sealgate | ratio | bar |")
    print("| --- | --- | --- | --- | --- |")
    for title, *_, bar in WORKS:
        if options.only not in title:
            continue
        ours, theirs = results[title, "sealgate"], results[title, "haproxy"]
        ratio = min(ours) / min(theirs)
        failed |= ratio > bar
        show = [", ".join(f"{v:.1f}" for v in values) for values in (theirs, ours)]
        print(f"| {title} | {show[0]} | {show[1]} | {ratio:.2f} | {bar} |")
    for proxy in ("haproxy", "sealgate"):
        for quiet, full in results.get(("memory", proxy), []):
            print(f"{proxy}: {quiet:.1f} MiB idle, {full:.1f} MiB with 1,000 idle connections")
            failed |= proxy == "sealgate" and (quiet > 30 or full - quiet > 50)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
