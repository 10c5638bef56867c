"""NDJSON as it arrives: pieces in, whole lines out, never more than one line in memory."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `text` is None when it was longer than a line may be."""

    index: int  # from 0, empty lines counted
    text: bytes | None


class Lines:
    """Cuts pieces of a body into lines; empty ones are left out."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._index = 0
        self._rest = bytearray()
        self._is_too_long = False

    @property
    def held_bytes(self) -> int:
        """Of the line that has not ended yet."""
        return len(self._rest)

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        for text in ended:
            self._keep(text)
            yield from self._end()
        self._keep(rest)

    def finish(self) -> Iterator[Line]:
        """The last line, when no newline ends it."""
        yield from self._end()

    def _keep(self, text: bytes) -> None:
        if self._is_too_long or len(self._rest) + len(text) > self._limit_bytes:
            self._is_too_long = True
            self._rest.clear()
        else:
            self._rest += text

    def _end(self) -> Iterator[Line]:
        text = bytes(self._rest)
        index, is_too_long = self._index, self._is_too_long
        self._index, self._is_too_long = index + 1, False
        self._rest.clear()
        if is_too_long:
            yield Line(index, None)
        elif text.strip():
            yield Line(index, text)
