"""A store that does as it is told and remembers every byte it was sent."""

import hashlib
import itertools
import re
import socket
import struct
import threading
import time
import urllib.parse


class Seen:
    """A request as the store received it."""

    def __init__(self, link: int, raw_head: bytes):
        self.link = link
        self.raw_head = raw_head
        lines = raw_head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.method, self.target = (self.line.split(" ") + ["", ""])[:2]
        self.header_lines = lines[1:]
        self.headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
        self.body = bytearray()
        self.complete = False
        self.at = time.monotonic()

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n == name.lower()]

    def __getitem__(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.line} link {self.link} {len(self.body)} bytes>"


class Link:
    """The store's end of one connection."""

    def __init__(self, number: int, sock: socket.socket):
        self.number = number
        self.socket = sock
        self.buffer = b""
        self.after = b""

    def send(self, data: bytes | str):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def reset(self) -> bool:
        """Ends the connection with a RST instead of a FIN; for `behave` to return."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        return False

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_head(self) -> bytes | None:
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def read_body(self, seen: Seen):
        if (seen["transfer-encoding"] or "").lower().endswith("chunked"):
            while True:
                size = int(self._line().split(b";")[0], 16)
                self._take(seen, size)
                if size == 0:
                    while self._line():
                        pass
                    break
                self._line()
        else:
            self._take(seen, int(seen["content-length"] or 0))
        seen.complete = True

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise EOFError
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _take(self, seen: Seen, size: int):
        while size > 0:
            if not self.buffer and not self._more():
                raise EOFError
            part = self.buffer[:size]
            seen.body += part
            size -= len(part)
            self.buffer = self.buffer[len(part):]


def has_body(seen: Seen) -> bool:
    return seen["transfer-encoding"] is not None or int(seen["content-length"] or 0) > 0


_request_ids = itertools.count(1)


def respond(link: Link, status: str, *headers: str, body: bytes = b"", seen: Seen | None = None):
    """A whole response; its length always said."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", f"x-amz-request-id: STORE{next(_request_ids):011d}"]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    link.send(head + (b"" if seen is not None and seen.method == "HEAD" else body))


def error(code: str) -> bytes:
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>said by the store</Message>'
            f"<RequestId>STORE00000000001</RequestId><HostId>store</HostId></Error>").encode()


_ECHOED = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
           "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key-md5")


def _echo(seen: Seen) -> list[str]:
    """What a store that encrypts says of it: what the headers, the presigned query or the form ask for, else of an
    upload's later steps AES256, as AWS always says at least."""
    echo = [f"{name}: {seen[name]}" for name in _ECHOED if seen[name]]
    query = urllib.parse.parse_qsl(seen.target.partition("?")[2], keep_blank_values=True)
    form = re.findall(rb'name="(x-amz-server-side-encryption)"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n', seen.body, re.I)
    if not echo and seen.method in ("PUT", "POST"):
        echo = [f"{_ECHOED[0]}: {value}" for name, value in query if name.lower() == _ECHOED[0]]
        echo = echo or [f"{_ECHOED[0]}: {value.decode()}" for _, value in form]
        if not echo and any(name == "uploadId" for name, _ in query):
            echo = [f"{_ECHOED[0]}: AES256"]
    return echo


def ok(link: Link, seen: Seen):
    """200, with an ETag and the echo of the SSE headers, as a store that encrypts would."""
    headers = [f'ETag: "{hashlib.md5(seen.body).hexdigest()}"', *_echo(seen)]
    body = b"stored" if seen.method == "GET" else b""
    if seen.method == "POST" and "?uploads" in seen.target:
        body = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
    if seen.method == "POST" and "?delete" in seen.target:
        keys = re.findall(rb"<Key>(.*?)</Key>", seen.body)
        body = b"<DeleteResult>" + b"".join(b"<Deleted><Key>%s</Key></Deleted>" % k for k in keys) + b"</DeleteResult>"
    if seen["x-amz-copy-source"]:
        body = b"<CopyObjectResult><ETag>&quot;x&quot;</ETag></CopyObjectResult>"
    if body and seen.method != "GET":
        headers.append("Content-Type: application/xml")
    respond(link, "200 OK", *headers, body=body, seen=seen)


def honest(link: Link, seen: Seen):
    """Invites a body where that is asked for, reads it, says yes."""
    if seen["expect"] and has_body(seen):
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
    link.read_body(seen)
    ok(link, seen)


def silent(link: Link, seen: Seen):
    """Never invites; reads what comes, then says yes."""
    link.read_body(seen)
    ok(link, seen)


def late_continue(delay: float):
    """Says 100 only after a while, when another may have said it already."""

    def behave(link: Link, seen: Seen):
        if seen["expect"]:
            time.sleep(delay)
            link.send("HTTP/1.1 100 Continue\r\n\r\n")
        link.read_body(seen)
        ok(link, seen)

    return behave


def twice(link: Link, seen: Seen):
    """Invites two times."""
    if seen["expect"]:
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
    link.read_body(seen)
    ok(link, seen)


def early(status: str, code: str, close: bool):
    """A final answer instead of an invitation; with `close` the connection is ended then, without it
    what follows is read as the body that was announced, as a store does that drains."""

    def behave(link: Link, seen: Seen):
        respond(link, status, "Content-Type: application/xml", *(["Connection: close"] if close else []),
                body=error(code))
        if close:
            return False
        link.read_body(seen)
        return True

    return behave


class FakeStore:
    """Listens on 127.0.0.1; `behave` says how each request is answered."""

    def __init__(self):
        self.behave = honest
        self.seen: list[Seen] = []
        self.links = 0
        #: The numbers of those that are over.
        self.ended: set[int] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._open: set[socket.socket] = set()
        self._stopped = False
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def reset(self):
        """Forget what was seen and be honest again."""
        self.behave = honest
        self.seen = []

    def last(self) -> Seen:
        assert self.seen, "the store saw no request"
        return self.seen[-1]

    def stop(self):
        self._stopped = True
        self._listener.close()
        for sock in list(self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self._stopped:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.links += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(Link(self.links, sock),), daemon=True).start()

    def _serve(self, link: Link):
        self._open.add(link.socket)
        try:
            while (head := link.read_head()) is not None:
                seen = Seen(link.number, head)
                self.seen.append(seen)
                if self.behave(link, seen) is False:
                    break
        except (OSError, EOFError, ValueError):
            pass
        finally:
            self._open.discard(link.socket)
            link.socket.close()
            self.ended.add(link.number)
