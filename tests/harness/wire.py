"""A client that looks at the socket: bytes out, responses in, and how the connection ends."""

import re
import select
import socket
import time
import xml.etree.ElementTree as ET


class Answer:
    """One response as it came."""

    def __init__(self, raw_head: bytes):
        self.raw_head = raw_head
        lines = raw_head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        found = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) (.*)", lines[0])
        assert found, f"not a status line: {lines[0]!r}"
        self.version, self.status, self.reason = found[1], int(found[2]), found[3]
        self.headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:] if line)]
        self.body = b""

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n == name.lower()]

    def __getitem__(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def xml(self) -> dict[str, str]:
        """The elements of an S3 error document."""
        root = ET.fromstring(self.body)
        assert root.tag == "Error", root.tag
        return {child.tag: child.text or "" for child in root}

    @property
    def code(self) -> str:
        return self.xml()["Code"]

    def __repr__(self):
        return f"<{self.status_line} {self.headers} {self.body[:300]!r}>"


class Wire:
    """A connection to Sealgate (or a store), used byte by byte."""

    def __init__(self, address: str, timeout: float = 10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = address
        self.timeout = timeout
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data: bytes | str):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(self, method: str, target: str, *headers: str, body: bytes | None = None, length: int | None = None,
                host: str | None = "", version: str = "1.1"):
        """Sends a head (and a body). `length` announces a body that is not sent here."""
        lines = [f"{method} {target} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host or self.address}")
        lines += headers
        if length is None and body is not None:
            length = len(body)
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def _more(self, timeout: float | None = None) -> bool:
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def head(self, timeout: float | None = None) -> Answer:
        """The head of the next response, 1xx included."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more(timeout):
                raise EOFError(f"closed before a response was whole: {self.buffer[:200]!r}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return Answer(head)

    def answer(self, method: str = "PUT", timeout: float | None = None) -> Answer:
        """The next response with its body; a 1xx is returned as it is."""
        answer = self.head(timeout)
        if answer.status < 200 or answer.status in (204, 304) or method == "HEAD":
            return answer
        if (answer["transfer-encoding"] or "").lower() == "chunked":
            answer.body = self._chunked(timeout)
        elif answer["content-length"] is not None:
            size = int(answer["content-length"])
            while len(self.buffer) < size:
                if not self._more(timeout):
                    raise EOFError(f"closed {size - len(self.buffer)} bytes before the end of {answer!r}")
            answer.body, self.buffer = self.buffer[:size], self.buffer[size:]
        else:
            while self._more(timeout):
                pass
            answer.body, self.buffer = self.buffer, b""
        return answer

    def _line(self, timeout) -> bytes:
        while b"\r\n" not in self.buffer:
            if not self._more(timeout):
                raise EOFError("closed inside a chunked body")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _chunked(self, timeout) -> bytes:
        body = b""
        while True:
            size = int(self._line(timeout).split(b";")[0], 16)
            while len(self.buffer) < size:
                if not self._more(timeout):
                    raise EOFError("closed inside a chunk")
            body, self.buffer = body + self.buffer[:size], self.buffer[size:]
            if size == 0:
                while self._line(timeout):
                    pass
                return body
            self._line(timeout)

    def final(self, method: str = "PUT", timeout: float | None = None) -> tuple[list[Answer], Answer]:
        """The interim responses and the final one."""
        interim = []
        while True:
            answer = self.answer(method, timeout)
            if answer.status >= 200:
                return interim, answer
            interim.append(answer)

    def ends(self, seconds: float = 5) -> bool:
        """True where the peer ends the connection in time and in order (no reset, no bytes left over)."""
        assert self.buffer == b"", self.buffer[:200]
        try:
            return not self._more(seconds)
        except TimeoutError:
            return False

    def is_open(self, seconds: float = 0.2) -> bool:
        """True where the connection stays, silent."""
        readable, _, _ = select.select([self.socket], [], [], seconds)
        return not readable

    def silent(self, seconds: float) -> bool:
        """True where not one byte arrives for so long."""
        assert self.buffer == b"", self.buffer[:200]
        return self.is_open(seconds)

    def push(self, size: int, seconds: float = 60, chunk: bytes = b"x" * 65536, patience: float = 5) -> int:
        """Sends up to `size` bytes without reading; returns how many the peer's side took before it
        stopped taking them for `patience` seconds. Raises where the peer resets."""
        self.socket.setblocking(False)
        sent, end, last = 0, time.monotonic() + seconds, time.monotonic()
        try:
            while sent < size and time.monotonic() < end:
                _, writable, _ = select.select([], [self.socket], [], 0.25)
                if writable:
                    sent += self.socket.send(chunk[: min(len(chunk), size - sent)])
                    last = time.monotonic()
                elif time.monotonic() - last > patience:
                    break
        finally:
            self.socket.settimeout(self.timeout)
        return sent


def exchange(address: str, raw: bytes, timeout: float = 10) -> bytes:
    """Sends bytes, reads until the peer ends the connection."""
    with Wire(address, timeout) as wire:
        wire.send(raw)
        try:
            while wire._more():
                pass
        except ConnectionResetError:
            pass
        return wire.buffer


def assert_refused(answer: Answer, status: int = 403, code: str = "AccessDenied", closes: bool | None = None):
    """A refusal of Sealgate's own: an S3 error document that names the request as its headers do.

    `closes` says whether the answer must announce the end of the connection, or must not; None where either is right.
    """
    assert answer.status == status, answer
    assert answer.reason.strip(), f"no reason phrase: {answer.status_line!r}"
    error = answer.xml()
    assert error["Code"] == code, answer
    assert error["Message"], answer
    assert answer["content-type"] == "application/xml", answer
    assert re.fullmatch(r"[0-9A-Z]{16}", answer["x-amz-request-id"] or ""), answer
    assert answer["x-amz-id-2"], answer
    assert error["RequestId"] == answer["x-amz-request-id"], answer
    assert error["HostId"] == answer["x-amz-id-2"], answer
    assert answer.all("content-length") == [str(len(answer.body))], answer
    if closes is True:
        assert (answer["connection"] or "").lower() == "close", answer
    if closes is False:
        assert (answer["connection"] or "").lower() != "close", answer
