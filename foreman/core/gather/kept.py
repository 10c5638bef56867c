"""What is kept of a stream, counted in bytes against one limit."""

from collections.abc import Container

from foreman.core.go_json import Fields, Raw, items, write
from foreman.errors import AnswerTooLarge


def too_large(limit_bytes: int) -> AnswerTooLarge:
    return AnswerTooLarge(f"the answer has more than the {limit_bytes} bytes that are kept")


class Allowance:
    """How many bytes of an answer may be kept, all its parts together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._left_bytes = limit_bytes

    def spend(self, size_bytes: int) -> None:
        """Count bytes that stay; AnswerTooLarge when the limit is passed."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise too_large(self.limit_bytes)


class Text:
    """A text that comes in pieces, kept as bytes: as strings the pieces cost ten times as much."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._bytes = bytearray()

    def add(self, piece: object) -> bool:
        """Append a piece and say whether there was anything in it; only a string has."""
        if not isinstance(piece, str) or not piece:
            return False
        added = piece.encode("utf-8", "surrogatepass")
        self._allowance.spend(len(added))
        self._bytes += added
        return True

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def __str__(self) -> str:
        return self._bytes.decode("utf-8", "surrogatepass")


class Values:
    """A list of JSON values that comes in pieces, kept as the text that it will be.

    Log probabilities with twenty alternatives a token would be ten times as large as objects.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._bytes = bytearray()

    def extend(self, values: object) -> bool:
        """Append the values of an array and say whether it had any."""
        for value in items(values):
            added = write(value)
            self._allowance.spend(len(added) + 1)
            self._bytes += b"," + added if self._bytes else added
        return bool(items(values))

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def whole(self) -> Raw:
        """The array, as it is written."""
        return Raw(f"[{self._bytes.decode()}]")


def remember(kept: Fields, news: Fields, *, known: Container[str], allowance: Allowance) -> None:
    """Let the latest value of every field stand; what is not `known` is paid for.

    A known field is as large as one line at most, and there is one of it.
    """
    for key, value in news.items():
        if key not in known and (key not in kept or kept[key] != value):
            allowance.spend(len(key) + len(write(value)))
    kept.update(news)
