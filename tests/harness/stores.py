"""Real S3 stores on 127.0.0.1, each with what a client must know of it."""

import base64
import subprocess
from pathlib import Path

from .process import Process, free_port, listening
from .tools import sealgate, tool


class Store:
    """A store that runs: its address, its keys, and what it can do about encryption."""

    name = "?"
    access_key = "sealgate"
    secret_key = "sealgate-secret"
    region = "us-east-1"
    #: what a PUT with `x-amz-server-side-encryption: AES256` gets: "echoed" (encrypted), "ignored", "refused"
    sse_s3 = "ignored"
    sse_kms = "ignored"
    sig_v2 = False

    def __init__(self, folder: Path):
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.process: Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def run(self, argv: list, env: dict | None = None, seconds: float = 30):
        self.process = Process(self.name, argv, self.folder / "log", env)
        self.process.wait_ready(lambda: listening(self.port), seconds)

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.process:
            self.process.stop(2)


class Embedded(Store):
    """The store of `sealgate demo`, alone."""

    name = "embedded"

    def start(self):
        data = self.folder / "data"
        data.mkdir()
        self.run([sealgate(), "demo", "--store-only", "--address", self.address, "--dir", data])


class Minio(Store):
    """MinIO without a key: it refuses every SSE header."""

    name = "minio"
    sse_s3 = "refused"
    sse_kms = "refused"
    sig_v2 = True
    extra_env: dict = {}

    def start(self):
        env = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_UPDATE": "off",
               "MINIO_BROWSER": "off", **self.extra_env}
        console = f"127.0.0.1:{free_port()}"
        self.run([tool("minio"), "server", self.folder / "data", "--address", self.address, "--console-address", console],
                 env)
        self.process.wait_ready(lambda: _get_ok(self.port, "/minio/health/ready"))


class MinioKms(Minio):
    """MinIO with one key of its own: SSE-S3 and SSE-KMS work."""

    name = "minio-kms"
    sse_s3 = "echoed"
    sse_kms = "echoed"
    extra_env = {"MINIO_KMS_SECRET_KEY": "main:" + base64.b64encode(bytes(range(32))).decode()}


class Versitygw(Store):
    """versitygw over a folder: takes every SSE header and encrypts nothing."""

    name = "versitygw"

    def start(self):
        data = self.folder / "data"
        data.mkdir()
        self.run([tool("versitygw"), "--port", self.address, "posix", "--versioning-dir", self._versions(), data],
                 {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key})

    def _versions(self) -> Path:
        path = self.folder / "versions"
        path.mkdir()
        return path


class Garage(Store):
    """A Garage of one node."""

    name = "garage"

    def start(self):
        config = self.folder / "garage.toml"
        rpc, admin = free_port(), free_port()
        config.write_text(f"""
metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{'5e' * 32}"
[s3_api]
s3_region = "{self.region}"
api_bind_addr = "{self.address}"
root_domain = ".s3.garage.test"
[admin]
api_bind_addr = "127.0.0.1:{admin}"
admin_token = "admin"
""")
        self.access_key = "GK" + "5ea19a7e" * 3
        self.secret_key = "5e" * 32
        self._command = [tool("garage"), "-c", str(config)]
        self.run([*self._command, "server"], {"RUST_LOG": "garage=info"})
        node = self.garage("node", "id", "-q").split("@")[0]
        self.garage("layout", "assign", "-z", "here", "-c", "10G", node)
        self.garage("layout", "apply", "--version", "1")
        self.garage("key", "import", "--yes", "-n", "tests", self.access_key, self.secret_key)
        self.garage("key", "allow", "--create-bucket", "tests")

    def garage(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"garage {' '.join(words)}: {done.stderr}{done.stdout}")
        return done.stdout.strip()


def _get_ok(port: int, path: str) -> bool:
    import http.client

    link = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        link.request("GET", path)
        return link.getresponse().status == 200
    except OSError:
        return False
    finally:
        link.close()


STORES = {kind.name: kind for kind in (Embedded, Minio, MinioKms, Versitygw, Garage)}
