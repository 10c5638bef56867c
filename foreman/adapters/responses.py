"""A target's answer as HTTP, read strictly: what is cut short is an error and never an end.

The standard library takes a head that was cut for a whole one, a length of `abc` for none, and a
size of `-5`, `1_0` or a cut `0` for the size of a chunk. Several chunks that have arrived together
are one read here, which is also less work than one read for each line of a stream.
"""

import io
import re
from http.client import SWITCHING_PROTOCOLS, HTTPException, HTTPResponse, IncompleteRead

from foreman.core.lengths import with_one_length

SIZE_LINE_LIMIT = 4096
HEAD_LINES_LIMIT = 1000
_BLOCK_BYTES = 64 * 1024
# Go's limit for a chunk's size.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")


class MalformedAnswer(HTTPException):
    """A target's bytes are not an HTTP answer."""


class StrictResponse(HTTPResponse):
    """What `http.client` reads, without its leniency."""

    def begin(self) -> None:
        if self.headers is not None:
            return
        whole = self.fp
        self.fp = _WholeLines(whole)  # a head is read by lines alone
        try:
            super().begin()
            while 100 <= self.status < 200 and self.status != SWITCHING_PROTOCOLS:
                self.headers = self.msg = None  # an interim response; the library skips 100 only
                super().begin()
        finally:
            if self.fp is not None:
                self.fp = whole
        try:
            with_one_length(self.headers.items())
        except ValueError as exc:
            raise MalformedAnswer(str(exc)) from exc
        if self.chunked:
            # `length` is None: the reader says itself where the body ends.
            self.chunked = False
            self.fp = Chunks(whole)  # has what `read1` and `close` need


class _WholeLines:
    """The lines of a head, interim ones included; a cut one is not a line."""

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._has_begun = False
        self._left = HEAD_LINES_LIMIT

    def readline(self, limit: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise MalformedAnswer("the head has too many lines")
        line = self._source.readline(limit)
        is_cut = not line.endswith(b"\n") and (limit < 0 or len(line) < limit)
        if is_cut and (line or self._has_begun):
            raise IncompleteRead(line)
        self._has_begun = True
        return line

    def close(self) -> None:
        self._source.close()


class Chunks(io.BufferedIOBase):
    """The body inside a chunked one."""

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._buffer = bytearray()
        self._left = 0  # of the chunk that is being read, its line end included
        self._has_ended = False

    def read1(self, size: int = -1, /) -> bytes:
        """What is there of the body, at least one byte, and at most about `size`; empty at its end.

        IncompleteRead when the source ends first, MalformedAnswer when there is no chunk.
        """
        body = bytearray()
        while not self._has_ended and (not body or self._buffer):
            if 0 <= size <= len(body):
                break
            if not self._step(body, size - len(body) if size >= 0 else _BLOCK_BYTES):
                if body:
                    break
                self._fill()
        return bytes(body)

    def close(self) -> None:
        self._source.close()
        super().close()

    def _step(self, body: bytearray, room: int) -> bool:
        """Move on in the buffer; False when it must be filled first."""
        if self._left > 2:
            taken = min(self._left - 2, len(self._buffer), room)
            body += self._buffer[:taken]
            del self._buffer[:taken]
            self._left -= taken
            return taken > 0
        if self._left:
            return self._end_chunk()
        return self._begin_chunk()

    def _end_chunk(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise MalformedAnswer("a chunk is longer than announced")
        del self._buffer[:2]
        self._left = 0
        return True

    def _begin_chunk(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > SIZE_LINE_LIMIT:
                raise MalformedAnswer("a chunk has no size")
            return False
        line = bytes(self._buffer[: end + 1])
        found = _SIZE.fullmatch(line)
        if found is None or len(line) > SIZE_LINE_LIMIT:
            raise MalformedAnswer(f"invalid chunk size {line[:40]!r}")
        size = int(found[1], 16)
        if size == 0:
            return self._end_body(end + 1)
        del self._buffer[: end + 1]
        self._left = size + 2
        return True

    def _end_body(self, start: int) -> bool:
        """After the last chunk: trailers, which nobody needs, and an empty line."""
        while (end := self._buffer.find(b"\n", start)) >= 0:
            is_empty = bytes(self._buffer[start:end]) in (b"", b"\r")
            start = end + 1
            if is_empty:
                del self._buffer[:start]
                if self._buffer:
                    raise MalformedAnswer("there are bytes after the last chunk")
                self._has_ended = True
                return True
        if len(self._buffer) > 2 * _BLOCK_BYTES:
            raise MalformedAnswer("the trailers are too long")
        return False

    def _fill(self) -> None:
        block = self._source.read1(_BLOCK_BYTES)
        if not block:
            raise IncompleteRead(b"")
        self._buffer += block
