"""A receiver of webhooks: a real small HTTP server that answers well, badly, slowly or never."""

import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from tests.stack import wait_for

DRIP_S = 0.02
CONNECTION_LIMIT_S = 30.0


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float  # monotonic

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[socket.socket, Got], None]


def status(code: int, *lines: str, body: bytes = b"") -> Answer:
    """A whole answer with these header lines besides."""

    def answer(connection: socket.socket, _: Got) -> None:
        head = [f"HTTP/1.1 {code} Because", f"Content-Length: {len(body)}", *lines, "", ""]
        connection.sendall("\r\n".join(head).encode() + body)

    return answer


ok = status(200)


def raw(content: bytes) -> Answer:
    """Bytes that may be no HTTP."""
    return lambda connection, _: connection.sendall(content)


def drip(content: bytes) -> Answer:
    """One byte at a time, for ever when the receiver of it stays: it is repeated."""

    def answer(connection: socket.socket, _: Got) -> None:
        while True:
            for byte in content:
                connection.sendall(bytes([byte]))
                time.sleep(DRIP_S)

    return answer


def slow_headers(connection: socket.socket, got: Got) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    drip(b"X-More: and more\r\n")(connection, got)


def slow_body(connection: socket.socket, got: Got) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    drip(b".")(connection, got)


def silent(connection: socket.socket, _: Got) -> None:
    """Take the request and say nothing until the other side has had enough."""
    connection.recv(1)


def reset(connection: socket.socket, _: Got) -> None:
    """Close with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def after(event: threading.Event, answer: Answer = ok) -> Answer:
    """Answer once the test says so."""

    def wait(connection: socket.socket, got: Got) -> None:
        event.wait(CONNECTION_LIMIT_S)
        answer(connection, got)

    return wait


def in_turn(*answers: Answer) -> Answer:
    """One after the other, each delivery for itself; the last one for all that follow."""
    counts: Counter[str] = Counter()

    def answer(connection: socket.socket, got: Got) -> None:
        place = min(counts[got.id], len(answers) - 1)
        counts[got.id] += 1
        answers[place](connection, got)

    return answer


class Receiver:
    """Listens on a loopback port; `got` is all that came, `most_at_once` how many side by side."""

    def __init__(
        self, answer: Answer = ok, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.answer = answer
        self._tls = tls
        self.got: list[Got] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}/hooks"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def ids(self) -> list[str]:
        return [got.id for got in self.got]

    def wait(self, count: int, limit_s: float = 10.0) -> list[Got]:
        """Wait until so many requests have come."""
        wait_for(lambda: len(self.got) >= count, limit_s, f"{count} requests")
        return self.got

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(CONNECTION_LIMIT_S)
        with suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._exchange(connection)

    def _exchange(self, connection: socket.socket) -> None:
        got = _read(connection)
        if got is not None:
            with self._lock:
                self.got.append(got)
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                self.answer(connection, got)
            finally:
                with self._lock:
                    self._at_once -= 1


def _read(connection: socket.socket) -> Got | None:
    """One request; None when the other side goes before it is whole."""
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(65536)
        if not piece:
            return None
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    while len(body) < int(headers["content-length"]):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return Got(first, headers, body, time.monotonic())
