"""One HTTP exchange on its socket: what a route reads and writes, to the byte and to the chunk.

pywsgi reads the request; the answer is written here, as Go's net/http would: one chunk a line,
a Content-Length only when the body is short and whole. A client that leaves is noticed at once,
also while nothing is written: `ClientGone` is thrown into whatever the route waits for.
"""

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import gevent

# Above this Go's server has no Content-Length to give: it has begun to write already.
GO_WRITE_BUFFER = 2048
_READ = 1  # libev's flag
_PIECE = 64 * 1024
_DELIVERY_S = 1.0


class ClientGone(Exception):
    """The client has closed its connection."""


class Severed(Exception):
    """A fault has ended this connection."""


class Exchange:
    """A request and the way to answer it."""

    def __init__(self, environ: Mapping[str, Any], client: Any, is_http10: bool) -> None:
        self.method = str(environ["REQUEST_METHOD"])
        self.path = str(environ["PATH_INFO"])
        self.must_close = False
        self.has_begun = False
        self._environ = environ
        self._socket = client
        self._raw = client._sock  # gevent's own socket below: a send that never waits
        self._head = b""
        self._is_http10 = is_http10

    def header(self, name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value = self._environ.get(key if key == "CONTENT_TYPE" else "HTTP_" + key)
        return None if value is None else str(value)

    def body(self) -> bytes:
        """The whole request body."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The request body in pieces, for what may be larger than the memory."""
        try:
            while piece := self._environ["wsgi.input"].read(_PIECE):
                yield piece
        except OSError as exc:
            raise ClientGone from exc

    def reply(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer at once; a HEAD gets the same headers and no body."""
        has_length = len(body) <= GO_WRITE_BUFFER or self.method == "HEAD" or self._is_http10
        framing = f"Content-Length: {len(body)}" if has_length else "Transfer-Encoding: chunked"
        head = self._header_bytes(status, content_type, headers, framing)
        if self.method == "HEAD":
            body = b""
        elif not has_length:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        self._send(head + body)

    def begin(self, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Begin a stream with status 200; its head leaves together with the first chunk."""
        if self._is_http10:
            self.must_close = True
        framing = "" if self._is_http10 else "Transfer-Encoding: chunked"
        self._head = self._header_bytes(200, content_type, headers, framing)

    def chunk(self, line: bytes) -> None:
        """Send one chunk."""
        if not self._is_http10:
            line = b"%x\r\n%b\r\n" % (len(line), line)
        if self._head:
            line, self._head = self._head + line, b""
        self._send(line)

    def end(self) -> None:
        if not self._is_http10:
            self._send(self._head + b"0\r\n\r\n")

    def half(self, body: bytes, content_type: str) -> None:
        """Send the first half of `body`, with the head of all of it, and close."""
        if not self.has_begun and not self._head:
            framing = f"Content-Length: {len(body)}"
            self._send(self._header_bytes(200, content_type, None, framing))
            self._send(body[: len(body) // 2])
        else:
            self.chunk(body[: len(body) // 2])
        self.must_close = True
        raise Severed

    def reset(self) -> None:
        """Cut the connection as a dying process does: a reset, no last chunk."""
        if self._head:
            self._send(self._head)
        self._wait_until_delivered()
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.must_close = True
        raise Severed

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, a client that leaves ends whatever is waited for with `ClientGone`."""
        route = gevent.getcurrent()
        watcher = gevent.get_hub().loop.io(self._raw.fileno(), _READ)

        def look() -> None:
            try:
                has_left = not self._raw.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
            except OSError:
                has_left = True
            # Bytes of a next request on the same connection: nothing more can be seen here.
            watcher.stop()
            if has_left:
                route.throw(ClientGone())

        watcher.start(look)
        try:
            yield
        finally:
            watcher.stop()
            watcher.close()

    def _wait_until_delivered(self) -> None:
        """Let the client have what was written: a reset throws away what is still in the kernel."""
        deadline = time.monotonic() + _DELIVERY_S
        while fcntl.ioctl(self._raw, termios.TIOCOUTQ, b"    ") != b"\0\0\0\0":
            if time.monotonic() > deadline:
                return
            gevent.sleep(0.001)

    def _header_bytes(
        self, status: int, content_type: str, headers: Mapping[str, str] | None, framing: str
    ) -> bytes:
        lines = [f"HTTP/1.{0 if self._is_http10 else 1} {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += [f"Date: {formatdate(usegmt=True)}"]
        lines += [framing] if framing else []
        lines += ["Connection: close"] if self.must_close else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _send(self, data: bytes) -> None:
        self.has_begun = True
        try:
            try:
                sent = self._raw.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self._socket.sendall(data[sent:])
        except OSError as exc:
            raise ClientGone from exc
