"""Signature Version 4 by hand, for requests that no SDK would send."""

import datetime
import hashlib
import hmac
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """Signs requests of one store's user for one address."""

    def __init__(self, store, address: str):
        self.store = store
        self.address = address
        self.when = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.when[:8]}/{store.region}/s3/aws4_request"
        key = _hmac(b"AWS4" + store.secret_key.encode(), self.when[:8])
        for word in (store.region, "s3", "aws4_request"):
            key = _hmac(key, word)
        self.key = key
        self.last = ""

    def headers(self, method: str, target: str, payload: str, **more: str) -> list[str]:
        """Header lines, Host left out, that sign a request; `payload` is the x-amz-content-sha256."""
        path, _, query = target.partition("?")
        signed = {"host": self.address, "x-amz-date": self.when, "x-amz-content-sha256": payload}
        signed |= {name.replace("_", "-"): value for name, value in more.items()}
        names = ";".join(sorted(signed))
        pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
        canonical = "\n".join([
            method, path,
            "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in pairs),
            *(f"{n}:{signed[n].strip()}" for n in sorted(signed)), "", names, payload,
        ])
        text = f"AWS4-HMAC-SHA256\n{self.when}\n{self.scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        self.last = _hmac(self.key, text).hex()
        authorization = (f"AWS4-HMAC-SHA256 Credential={self.store.access_key}/{self.scope}, SignedHeaders={names}, "
                         f"Signature={self.last}")
        return [f"{n}: {v}" for n, v in signed.items() if n != "host"] + [f"Authorization: {authorization}"]

    def chunk(self, data: bytes) -> bytes:
        """The next chunk of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD body; the last one has no data."""
        text = (f"AWS4-HMAC-SHA256-PAYLOAD\n{self.when}\n{self.scope}\n{self.last}\n{EMPTY}\n"
                f"{hashlib.sha256(data).hexdigest()}")
        self.last = _hmac(self.key, text).hex()
        return f"{len(data):x};chunk-signature={self.last}\r\n".encode() + data + b"\r\n"

    def trailer(self, line: str) -> bytes:
        """The trailer of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER body, with its signature."""
        text = (f"AWS4-HMAC-SHA256-TRAILER\n{self.when}\n{self.scope}\n{self.last}\n"
                f"{hashlib.sha256((line + chr(10)).encode()).hexdigest()}")
        return f"{line}\r\nx-amz-trailer-signature:{_hmac(self.key, text).hex()}\r\n\r\n".encode()
