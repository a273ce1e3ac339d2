"""What the tests of a configuration's and a process' life have in common."""

import json
import os
import signal
from pathlib import Path

import yaml

from .process import Process, wait_until
from .tools import sealgate
from .wire import Wire

OPEN = [{"bucket": "*"}]
STRICT = [{"bucket": "*", "require": "any"}]


def put(proxy, *lines, body=b"x") -> int:
    with Wire(proxy.address) as wire:
        wire.request("PUT", "/b/k", *lines, body=body)
        return wire.final("PUT")[1].status


def write(proxy, **more):
    """Changes the configuration's file in one step."""
    proxy.config.update(more)
    new = proxy.config_file.with_suffix(".new")
    new.write_text(yaml.safe_dump(proxy.config, sort_keys=False))
    new.rename(proxy.config_file)


def generation(proxy) -> int:
    status, text = proxy.admin("/config")
    return json.loads(text)["generation"] if status == 200 else 0


def in_force(proxy, number: int):
    """This generation or a later one: a look at the file and SIGHUP may both see one change, and read it twice."""
    wait_until(f"generation {number}", lambda: generation(proxy) >= number, 10)


def hang_up(proxy):
    os.kill(proxy.process.pid, signal.SIGHUP)


def listens_for_listeners(proxy) -> bool:
    """Whether a new process waits for the listeners: from then on SIGQUIT means it. The socket's file is there some time before."""
    path = proxy.folder / proxy.config["upgrade_socket"]
    # Num RefCount Protocol Flags Type St Inode Path; the flag is that of listen(2).
    sockets = (line.split(maxsplit=7) for line in Path("/proc/self/net/unix").read_text().splitlines())
    return any(socket[3] == "00010000" and socket[7:] == [str(path)] for socket in sockets)


def successor(proxy, log: str = "next.log") -> Process:
    """A process that waits for the listeners of the one that runs."""
    process = Process("sealgate", [sealgate(), "run", "--config", proxy.config_file, "--upgrade"], proxy.folder / log)
    process.wait_ready(lambda: listens_for_listeners(proxy))
    return process
