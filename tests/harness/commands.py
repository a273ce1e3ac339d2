"""The command-line clients, each with a configuration of its own and nothing of the machine's."""

import os
import subprocess
from pathlib import Path

from .tools import tool


class Done:
    def __init__(self, argv: list[str], done: subprocess.CompletedProcess):
        self.argv = argv
        self.code = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode("utf-8", "backslashreplace")
        self.err = done.stderr.decode("utf-8", "backslashreplace")

    def ok(self) -> "Done":
        assert self.code == 0, self
        return self

    def __repr__(self):
        return f"<{' '.join(self.argv)}: exit {self.code}\n{self.out[-2000:]}\n{self.err[-2000:]}>"


def run(argv: list, env: dict | None = None, stdin: bytes | None = None, seconds: float = 120,
        cwd: Path | None = None) -> Done:
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, input=stdin or b"", capture_output=True, timeout=seconds, cwd=cwd,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "NO_PROXY": "127.0.0.1",
                               **(env or {})})
    return Done(argv, done)


class Aws:
    """AWS CLI v1."""

    def __init__(self, endpoint: str, store, folder: Path):
        self.endpoint = endpoint
        self.folder = folder
        self.config = folder / "aws-config"
        self.config.write_text("[default]\nmax_attempts = 1\ns3 =\n  addressing_style = path\n  signature_version = s3v4\n"
                               "  max_concurrent_requests = 2\n")
        self.env = {
            "AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_DEFAULT_REGION": store.region, "AWS_CONFIG_FILE": str(self.config), "AWS_MAX_ATTEMPTS": "1",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
            "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE": "true",
        }

    def __call__(self, *words, stdin: bytes | None = None) -> Done:
        return run([tool("aws"), "--endpoint-url", self.endpoint, *words], self.env, stdin, cwd=self.folder)


class Curl:
    """curl with its own SigV4."""

    def __init__(self, endpoint: str, store, _folder: Path):
        self.endpoint = endpoint
        self.sign = ["--aws-sigv4", f"aws:amz:{store.region}:s3", "--user", f"{store.access_key}:{store.secret_key}"]

    def __call__(self, target: str, *words, signed: bool = True, stdin: bytes | None = None) -> Done:
        """The response's head on stdout, then the body."""
        return run([tool("curl"), "--silent", "--show-error", "--path-as-is", "--max-time", "60", "--include",
                    *(self.sign if signed else []), *words, self.endpoint + target], stdin=stdin)


class Rclone:
    def __init__(self, endpoint: str, store, folder: Path):
        self.config = folder / "rclone.conf"
        self.config.write_text(f"[s]\ntype = s3\nprovider = Other\nenv_auth = false\naccess_key_id = {store.access_key}\n"
                               f"secret_access_key = {store.secret_key}\nregion = {store.region}\nendpoint = {endpoint}\n"
                               "force_path_style = true\n")

    def __call__(self, *words, stdin: bytes | None = None) -> Done:
        return run([tool("rclone"), "--config", self.config, "--retries", "1", "--low-level-retries", "1",
                    "--contimeout", "5s", *words], stdin=stdin)


class S3cmd:
    def __init__(self, endpoint: str, store, folder: Path):
        address = endpoint.removeprefix("http://")
        self.config = folder / "s3cfg"
        self.config.write_text(f"[default]\naccess_key = {store.access_key}\nsecret_key = {store.secret_key}\n"
                               f"host_base = {address}\nhost_bucket = {address}\nuse_https = False\n"
                               f"bucket_location = {store.region}\nmultipart_chunk_size_mb = 5\nmax_retries = 1\npreserve_attrs = False\n")

    def __call__(self, *words, stdin: bytes | None = None) -> Done:
        return run([tool("s3cmd"), "-c", self.config, "--no-progress", *words], stdin=stdin)


CLIENTS = {"aws": Aws, "curl": Curl, "rclone": Rclone, "s3cmd": S3cmd}
