"""Authorities and certificates, made with openssl for one run."""

from pathlib import Path

from .commands import run
from .tools import tool


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        run([tool("openssl"), "req", "-x509", *_KEY, "-days", "30", "-subj", f"/CN={name}",
             "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self._key, "-out", self.cert]).ok()

    def issue(self, name: str, *names: str, subject: str | None = None, days: int = 30) -> tuple[Path, Path]:
        """A certificate and its key; `names` as DNS:x, URI:x, IP:x. A second one of the same name replaces the files."""
        cert, key, request = (self.folder / f"{name}{suffix}" for suffix in (".pem", ".key", ".csr"))
        extensions = self.folder / f"{name}.ext"
        lines = ["basicConstraints=critical,CA:FALSE"] + ([f"subjectAltName={','.join(names)}"] if names else [])
        extensions.write_text("\n".join(lines) + "\n")
        run([tool("openssl"), "req", *_KEY, "-subj", subject or f"/CN={name}", "-keyout", key, "-out", request]).ok()
        run([tool("openssl"), "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
             "-days", str(days), "-extfile", extensions, "-out", cert]).ok()
        return cert, key


_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
