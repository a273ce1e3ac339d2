"""Requests without a body, as many at once as six connections take: a process of its own, so that its work delays no clock of the tests'."""

import select
import socket
import sys
import time


def saturate(port: int):
    asks = f"PUT /b/k HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n".encode() * 500
    links = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(6)]
    rest = dict.fromkeys(links, b"")
    for link in links:
        link.setblocking(False)
    # Whoever began it may be gone.
    end = time.monotonic() + 60
    while time.monotonic() < end:
        readable, writable, _ = select.select(links, links, [])
        for link in readable:
            if not link.recv(1 << 20):
                sys.exit("a connection was ended")
        for link in writable:
            rest[link] = rest[link] or asks
            rest[link] = rest[link][link.send(rest[link]):]


if __name__ == "__main__":
    saturate(int(sys.argv[1]))
