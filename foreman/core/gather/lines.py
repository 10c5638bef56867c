"""Cut a byte stream into lines or server-sent events, wherever the network has cut it before."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from foreman.core.gather.kept import too_large


class Piece(NamedTuple):
    """One line or one event."""

    name: str  # of the event; "" for a line
    data: bytes


class Cutter(Protocol):
    """Lines or events."""

    def split(self, chunk: bytes) -> Iterator[Piece]:
        """The pieces that these bytes complete; AnswerTooLarge when one exceeds the limit."""
        ...

    def rest(self) -> Iterator[Piece]:
        """What stands after the last end of a piece, now that nothing more comes."""
        ...


class Lines:
    """NDJSON: a piece ends with a newline."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._line = bytearray()

    def split(self, chunk: bytes) -> Iterator[Piece]:
        *ends, begin = chunk.split(b"\n")
        for end in ends:
            self._add(end)
            yield self._take()
        self._add(begin)

    def rest(self) -> Iterator[Piece]:
        if self._line:
            yield self._take()

    def _take(self) -> Piece:
        line, self._line = bytes(self._line), bytearray()
        return Piece("", line.removesuffix(b"\r"))

    def _add(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._limit_bytes:
            raise too_large(self._limit_bytes)


class Events:
    """Server-sent events: an empty line ends one, a line that begins with a colon says nothing.

    A carriage return alone ends no line here; nobody who streams JSON sends one.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lines = Lines(limit_bytes)
        self._name = ""
        self._data: bytearray | None = None

    def split(self, chunk: bytes) -> Iterator[Piece]:
        for line in self._lines.split(chunk):
            yield from self._after(line.data)

    def rest(self) -> Iterator[Piece]:
        for line in self._lines.rest():
            yield from self._after(line.data)
        yield from self._after(b"")

    def _after(self, line: bytes) -> Iterator[Piece]:
        """The event that this line ends, if it does."""
        if not line:
            name, data = self._name, self._data
            self._name, self._data = "", None
            if data is not None:
                yield Piece(name, bytes(data))
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", errors="replace")
        if field == b"data":
            self._add(value)

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = bytearray(value)
        else:
            self._data += b"\n" + value
        if len(self._data) > self._limit_bytes:
            raise too_large(self._limit_bytes)
