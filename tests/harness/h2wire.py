"""An HTTP/2 client that sends frames as it is told and remembers what came on each stream."""

import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.settings


class Stream:
    """What came on one stream."""

    def __init__(self):
        self.interim: list[int] = []
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.ended = False
        self.reset: int | None = None
        #: The order of things: "headers", "data", "end", "reset".
        self.order: list[str] = []

    @property
    def status(self) -> int | None:
        return int(dict(self.headers)[":status"]) if self.headers else None

    def __getitem__(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None

    def __repr__(self):
        return f"<{self.headers} {self.body[:300]!r} ended={self.ended} reset={self.reset}>"


class H2:
    """A connection with prior knowledge; or over `sock`, where that speaks TLS already."""

    def __init__(self, address: str, timeout: float = 10, window: int | None = None, sock: socket.socket | None = None,
                 acknowledge: bool = True, receive_buffer: int | None = None):
        host, port = address.rsplit(":", 1)
        if sock is None:
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(timeout)
            sock.connect((host, int(port)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.address, self.timeout = sock, address, timeout
        self.acknowledge = acknowledge
        # What is wrong is sent as it is: the other side is tested.
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(
                client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.streams: dict[int, Stream] = {}
        self.goaway: int | None = None
        self.closed = False
        self._ahead = b""
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def flush(self):
        """Sends what is there to be sent. Who is sent away may notice it here first."""
        try:
            self.socket.sendall(self.h2.data_to_send())
        except ConnectionError:
            self.closed = True

    def head(self, method: str, path: str, *fields: tuple[str, str], end: bool = True, authority: str | None = "") -> int:
        """Sends HEADERS; returns the stream's number."""
        pseudo = [(":method", method), (":scheme", "http"), (":path", path)]
        if authority is not None:
            pseudo.append((":authority", authority or self.address))
        return self.raw_head(pseudo + list(fields), end)

    def raw_head(self, fields: list[tuple[str, str]], end: bool = True) -> int:
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return number

    def data(self, number: int, body: bytes, end: bool = True):
        """Sends DATA as the windows allow it, reading meanwhile; stops where the stream is over."""
        view = memoryview(body)
        while not self.streams[number].done:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(view))
            if room or not view:
                last = room == len(view)
                self.h2.send_data(number, view[:room].tobytes(), end_stream=end and last)
                self.flush()
                view = view[room:]
                if last:
                    return
                self.read(0)
            else:
                assert self.read(self.timeout), "the window does not open"

    def read(self, seconds: float) -> bool:
        """Takes in what is there within that time; false where nothing came."""
        self.socket.settimeout(seconds or 0.0)
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return False
        except ConnectionError:
            data = b""
        finally:
            self.socket.settimeout(self.timeout)
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(self._without_goaway(data)):
            self._take(event)
        try:
            self.flush()
        except OSError:
            self.closed = True
        return True

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames, but for GOAWAY, after which the library takes nothing more, whatever is still under way;
        and but for those of streams that were opened behind its back."""
        self._ahead += data
        whole = b""
        while len(self._ahead) >= 9:
            size = 9 + int.from_bytes(self._ahead[:3], "big")
            if len(self._ahead) < size:
                break
            frame, self._ahead = self._ahead[:size], self._ahead[size:]
            if frame[3] == 7:
                self.goaway = int.from_bytes(frame[13:17], "big")
            elif (number := int.from_bytes(frame[5:9], "big")) == 0 or number in self.streams:
                whole += frame
        return whole

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = list(event.headers)
            stream.order.append("headers")
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            stream.order.append("data")
            if self.acknowledge and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
            stream.order.append("end")
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)
            stream.order.append("reset")

    def until(self, what, seconds: float = 10):
        """Reads until `what()`."""
        end = time.monotonic() + seconds
        while not what():
            left = end - time.monotonic()
            assert left > 0, f"nothing more came: {self.streams}, goaway {self.goaway}"
            if not self.read(left) and self.closed:
                assert what(), f"closed: {self.streams}, goaway {self.goaway}"

    def wait(self, number: int, seconds: float = 10) -> Stream:
        """A stream's response, to its end or reset."""
        self.until(lambda: self.streams[number].done, seconds)
        return self.streams[number]

    def get(self, path: str, *fields: tuple[str, str], method: str = "GET", **more) -> Stream:
        return self.wait(self.head(method, path, *fields, **more))

    def put(self, path: str, body: bytes, *fields: tuple[str, str]) -> Stream:
        number = self.head("PUT", path, ("content-length", str(len(body))), *fields, end=not body)
        if body:
            self.data(number, body)
        return self.wait(number)
