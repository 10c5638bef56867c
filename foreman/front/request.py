"""A request as gunicorn reads it; where a valid request would be read otherwise, as Go reads it.

What gunicorn refuses for safety stays refused: docs/proxies.md lists it.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn.http import errors, message  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.body import Body, ChunkedReader  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]  # it has no types

from foreman.core.lengths import LARGEST, length_of
from foreman.errors import ForemanError
from foreman.front.refused import refusal_of
from foreman.front.target import in_ascii, origin_form
from foreman.refusals import MalformedRequest, UnsupportedTransferCoding

CHUNK_LINE_BYTES = 4096
TRAILER_BYTES = 64 * 1024
# With more of a body unread, an answer ends its connection.
UNREAD_BYTES = 256 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Source(SocketUnreader):  # type: ignore[misc]  # an untyped base
    """The bytes of one connection; other connections get their turn after each read."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        piece: bytes = super().chunk(size_hint)
        gevent.sleep(0)
        return piece


class Request(message.Request):  # type: ignore[misc]  # an untyped base
    """One request whose head has arrived: `source` holds it."""

    uri: str
    headers: list[tuple[str, str]]
    version: tuple[int, int]
    body: Body
    _expected_100_continue: bool

    def __init__(self, cfg: Any, source: Source, address: Any, number: int) -> None:
        self.expects_continue = False
        self.has_body = False
        # Called when a piece of the body has been read: with `is_whole` when it was the last one.
        self.on_piece: Callable[..., None] = lambda *, is_whole: None
        super().__init__(cfg, source, address, number)

    def parse(self, source: Source) -> bytes:
        head, _, rest = source.read().partition(b"\r\n")
        source.unread(in_ascii(head) + b"\r\n" + rest)
        # It is measured already, and gunicorn itself allows no more than 8190 bytes.
        self.limit_request_line = 0
        unused: bytes = super().parse(source)
        self._read_target()
        self._read_headers()
        return unused

    def _read_target(self) -> None:
        self.uri, host = origin_form(self.uri)
        if self.method == "CONNECT":
            self.uri = "/"
        # A fragment is no part of HTTP: a # belongs to the path.
        self.path, _, self.query = self.uri.partition("?")
        self.fragment = ""
        if host is not None:
            self.headers = [pair for pair in self.headers if pair[0] != "HOST"]
            self.headers.insert(0, ("HOST", host))

    def _read_headers(self) -> None:
        names = {name for name, _ in self.headers}
        if self.version >= (1, 1) and "HOST" not in names:
            raise MalformedRequest("the header Host is missing")
        # A server may ignore it. It is not answered, and werkzeug would match other routes.
        self.headers = [pair for pair in self.headers if pair[0] != "UPGRADE"]
        self.expects_continue, self._expected_100_continue = self._expected_100_continue, False
        self.version = min(self.version, (1, 1))

    def set_body_reader(self) -> None:
        for name, value in self.headers:
            if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
                raise UnsupportedTransferCoding
            # It may be any digits of Unicode for gunicorn.
            if name == "CONTENT-LENGTH" and length_of(value) is None:
                raise MalformedRequest("the header Content-Length is not valid")
        super().set_body_reader()
        reader = self.body.reader
        if isinstance(reader, ChunkedReader):
            reader = _Chunks(self, self.unreader)
        self.has_body = isinstance(reader, ChunkedReader) or reader.length > 0
        if not self.has_body:
            self.expects_continue = False
        self.body = _Body(_Checked(self, reader))

    def should_close(self) -> bool:
        tokens = {
            token.strip().lower()
            for name, value in self.headers
            if name == "CONNECTION"
            for token in value.split(",")
        }
        if self.must_close or "close" in tokens or self.method == "CONNECT" or self._is_far_behind:
            return True
        return self.version == (1, 0) and "keep-alive" not in tokens

    @property
    def _is_far_behind(self) -> bool:
        """Whether too much of the body is unread to be read for the sake of the next request."""
        # Whoever waits for the permission to send may still send, or not.
        return self.expects_continue or (self.body.reader.unread or 0) > UNREAD_BYTES

    def finish(self, limit_s: float) -> bool:
        """Drop what is left of the body, so that the next request can be read; False when not."""
        if self.body.failed or self.expects_continue:
            return False
        give_up_at = time.monotonic() + limit_s
        dropped = 0
        try:
            while dropped <= UNREAD_BYTES and time.monotonic() < give_up_at:
                self.unreader.sock.settimeout(limit_s)
                piece = self.body.read(64 * 1024)
                if not piece:
                    return True
                dropped += len(piece)
        except (OSError, ForemanError):
            pass
        return False


class _Body(Body):  # type: ignore[misc]  # an untyped base
    """What the application reads a body from."""

    @property
    def is_awaited(self) -> bool:
        """Whether the client waits for the permission to send it, which the first read gives."""
        return bool(self.reader.is_awaited)


class _Checked:
    """What reads a body: it asks for it first if need be, and its errors are foreman's."""

    def __init__(self, request: Request, reader: Any) -> None:
        self._request = request
        self._reader = reader

    @property
    def unread(self) -> int | None:
        """Bytes of the body that nobody has taken; None when it comes in chunks."""
        return getattr(self._reader, "length", None)

    @property
    def is_awaited(self) -> bool:
        return self._request.expects_continue

    def read(self, size: int) -> bytes:
        if self._request.expects_continue:
            self._request.expects_continue = False
            self._request.unreader.sock.sendall(_CONTINUE)
        try:
            piece: bytes = self._reader.read(size)
        except errors.ParseException as exc:
            # Where the next request begins is unknown.
            self._request.force_close()
            raise refusal_of(exc) from exc
        self._request.on_piece(is_whole=not piece or self.unread == 0)
        return piece


class _Chunks(ChunkedReader):  # type: ignore[misc]  # an untyped base
    """A chunked body, with Go's limits."""

    def __init__(self, request: Request, source: Source) -> None:
        super().__init__(request, source)
        self.limit_chunk_size_line = CHUNK_LINE_BYTES
        self.limit_trailer_section = TRAILER_BYTES

    def read_into(self, source: Source, buffer: bytearray) -> None:
        # Else a line that ends with LF alone would be waited for until the client gives up.
        if buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise errors.InvalidChunkSize(bytes(buffer[:64]))
        super().read_into(source, buffer)

    def parse_chunk_size(
        self, source: Source, data: bytes | None = None
    ) -> tuple[int, bytes | None]:
        size, rest = super().parse_chunk_size(source, data)
        if size > LARGEST:
            raise errors.InvalidChunkSize(size)
        return size, rest
