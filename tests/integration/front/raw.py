"""Bytes to a server and what comes back, with no client library in between."""

import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

LIMIT_S = 30.0
# A server that keeps the connection has nothing more to send after this time.
QUIET_S = 0.3

HOST = b"Host: localhost\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class RawAnswer:
    """Everything that a server sent on one connection."""

    received: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        """Of every answer, interim ones too."""
        return [int(status) for status in _STATUS_LINE.findall(self.received)]

    @property
    def status(self) -> int:
        assert self.statuses, "there is no answer"
        return self.statuses[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]


def connect(url: str, source: str = "") -> socket.socket:
    """A connection, from a loopback address of one's own if given."""
    address = urlsplit(url)
    connection = socket.socket()
    connection.settimeout(LIMIT_S)
    if source:
        connection.bind((source, 0))
    connection.connect((address.hostname, address.port))
    return connection


def receive(connection: socket.socket, *, quiet_s: float = QUIET_S) -> RawAnswer:
    """Everything that comes until the server closes or is quiet after it began."""
    received = b""
    try:
        while piece := connection.recv(64 * 1024):
            received += piece
            connection.settimeout(quiet_s)
    except TimeoutError:
        return RawAnswer(received, is_closed=False)
    return RawAnswer(received, is_closed=True)


def exchange(url: str, sent: bytes, *, closes: bool = False) -> RawAnswer:
    """Send bytes on a connection of their own; with `closes`, wait for the server to close it."""
    with connect(url) as connection:
        connection.sendall(sent)
        return receive(connection, quiet_s=LIMIT_S if closes else QUIET_S)


def head(
    target: bytes = b"/api/version",
    *headers: bytes,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    host: bytes = HOST,
) -> bytes:
    """The head of a request; each of `headers` is a line without its end."""
    lines = b"".join(line + b"\r\n" for line in headers)
    return method + b" " + target + b" " + version + b"\r\n" + host + lines + b"\r\n"
