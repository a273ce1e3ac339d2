"""What the tests of a configuration's and a process' life have in common."""

import json
import os
import signal

import yaml

from .process import wait_until
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
