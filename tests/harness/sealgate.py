"""Sealgate itself: a configuration written, the process started, its audit file and its metrics read."""

import json
import time
from pathlib import Path

import yaml

from .process import Process, free_port, listening, page, wait_until
from .tools import sealgate


class Sealgate:
    """`sealgate run` in front of a store."""

    def __init__(self, folder: Path, store: str, rules: list, **more):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.admin_port = free_port()
        self.audit_file = folder / "audit.jsonl"
        self.config_file = folder / "sealgate.yaml"
        self.config = {
            "listen": [{"address": self.address}],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "store": {"endpoint": store, "region": "us-east-1", "addressing": "path", **more.pop("store_options", {})},
            "rules": rules,
            "audit": {"stdout": False, "file": "audit.jsonl"},
            **more,
        }
        #: What starts it: `prlimit` and the like.
        self.prefix: list[str] = []
        self.process: Process | None = None
        self._seen = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def start(self, ready: str = "/readyz", **streams: int) -> "Sealgate":
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        self.process = Process("sealgate", [*self.prefix, sealgate(), "run", "--config", self.config_file], self.folder / "log", **streams)
        self.process.wait_ready(lambda: listening(self.port) and self.admin(ready)[0] == 200)
        return self

    def at_rest(self) -> "Sealgate":
        """Waits for the end of the connection by which `start` saw that it listens: limits count it, too."""
        wait_until("no connection", lambda: self.metric("sealgate_connections") == 0, 10)
        return self

    def stop(self):
        if self.process:
            self.process.stop(10)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def admin(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the admin port; status 0 where nobody answers."""
        return page(self.admin_port, path)

    def audit(self) -> list[dict]:
        """Every audit line so far."""
        if not self.audit_file.exists():
            return []
        text = self.audit_file.read_text()
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def audit_of(self, request_id: str, seconds: float = 5) -> dict:
        """The line of one request, by its x-amz-request-id."""
        return wait_until(
            f"the audit line of {request_id}",
            lambda: self._find(request_id),
            seconds,
        )

    def _find(self, request_id: str) -> dict | None:
        """Looks for the text first: after some thousand requests it is a matter of seconds."""
        text = self.audit_file.read_text() if self.audit_file.exists() else ""
        lines = [line for line in text[: text.rfind("\n") + 1].splitlines() if f'"{request_id}"' in line]
        return next((e for e in map(json.loads, reversed(lines)) if e["request_id"] == request_id), None)

    def audit_new(self, count: int = 1, seconds: float = 5) -> list[dict]:
        """The lines since the last call, once there are `count`."""
        lines = wait_until(f"{count} audit lines", lambda: _from(self.audit(), self._seen, count), seconds)
        self._seen += len(lines)
        return lines

    def mark(self):
        """Forget the lines that are there, after those of requests just answered had time to come."""
        time.sleep(0.05)
        self._seen = len(self.audit())

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, as they stand in the exposition format."""
        # A machine that stood still for a while is asked again.
        answers = (self.admin("/metrics") for _ in range(3))
        status, text = next((answer for answer in answers if answer[0] == 200), (0, ""))
        assert status == 200, "no metrics"
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(
            value
            for key, value in self.metrics().items()
            if key.partition("{")[0] == name and all(w in key for w in wanted)
        )

    def memory_kib(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")


def _from(lines: list, start: int, count: int):
    return lines[start:] if len(lines) >= start + count else None
