"""Walk through a body by the type of its route, and note where the values are that foreman needs.

What the walk accepts is what Go's decoder accepts. What a value means is for `bodies` to say.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

from foreman.core.reading.base64_text import base64_text
from foreman.core.reading.kinds import ANY, NUMBER, Kind, Numbers, Text, folded
from foreman.core.reading.scan import (
    BLANK,
    CLOSES,
    COLON,
    COMMA,
    OBJECT,
    PLAIN_MEMBERS,
    QUOTE,
    WINDOW_BYTES,
    Scan,
    Steps,
    WrongType,
)
from foreman.core.reading.values import (
    is_byte,
    is_finite,
    is_float32,
    is_int64,
    is_well_formed,
    text_of,
)
from foreman.errors import BodyTooComplex

# Of the values that are noted; a client names a handful.
NOTES_LIMIT = 1000
# Of a key that is looked at: no name is longer, not even with every letter escaped.
_KEY_LIMIT_BYTES = 300
_ORDERED_KEY_LIMIT_BYTES = 64 * 1024
_MEMBERS_PER_TRY = 64
_THINK = frozenset({"high", "medium", "low", "max"})

_SIMPLE_KEY = re.compile(rb'[ \t\n\r]*+"([a-z_]{1,40})":')
_INTEGERS = re.compile(rb"(?>(?:[ \t\n\r]*+-?(?:0|[1-9][0-9]{0,17})[ \t\n\r]*+,){1,500})")

_NULL = "n"
_TOKENS = {mark: chr(mark) for mark in b'"[{tfn'} | dict.fromkeys(b"-0123456789", NUMBER)

_FITS: dict[Numbers, Callable[[bytes], bool]] = {
    Numbers.FLOAT64: is_finite,
    Numbers.FLOAT32: is_float32,
    Numbers.INT64: is_int64,
    Numbers.BYTE: is_byte,
}


@dataclass(frozen=True, slots=True)
class Note:
    """Where a value stands that foreman needs. Of one with typed parts only `start` counts."""

    slot: str
    start: int
    end: int
    first: str  # its first character; 0 for every number
    is_empty: bool = False  # an array or object without a part


@dataclass(frozen=True, slots=True)
class Places:
    """Where a body's object begins, and the values in it that foreman needs."""

    start: int = 0
    is_empty: bool = True  # an object without a member
    notes: tuple[Note, ...] = ()


class Walk(Scan):
    """One walk; `run` goes through the first value of the text."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        super().__init__(data, at)
        self.start = at  # of the value
        self.is_empty = False
        self.notes: list[Note] = []
        self.field = ""  # the outermost one that is being read
        self._opened: list[tuple[Kind, int]] = []
        self._missing: list[str] = []  # the required field of each of these, until it comes

    def run(self, root: Kind) -> Steps:
        """Walk; `at` is the end of the value then."""
        yield from self.space()
        self.start = self.at
        kind: Kind | None = root
        while kind is not None:
            if self.is_due():
                yield
            if self.peek() in BLANK:
                yield from self.space()
            kind = yield from self._value(kind)
            if kind is None:
                kind = yield from self._next()

    def _value(self, kind: Kind) -> Generator[None, None, Kind | None]:
        """Read a value of this kind, or go into it: then the kind of its first part."""
        self.note_values()
        start, token = self.at, _TOKENS.get(self.peek())
        if token is None:
            raise self.error("looking for a value ")
        is_right = not kind.required if token == _NULL else token in kind.accepts
        if not is_right:
            raise self._wrong()
        parts = {"[": kind.items, "{": kind.values}.get(token)
        if parts is not None:
            self._opened.append((kind, self.peek()))
            self._missing.append(kind.required)
            self.enter()
            yield from self.space()
            is_empty = self.peek() == CLOSES[self._opened[-1][1]]
            self._note(Note(kind.slot, start, start, token, is_empty))
            if len(self._opened) == 1:
                self.is_empty = is_empty
            if is_empty:
                self._close()
                return None
            return (yield from self._part())
        yield from self._plain(kind, token)
        if kind.slot:
            self._note(Note(kind.slot, start, self.at, token, self._is_empty(start, token)))
        return None

    def _plain(self, kind: Kind, token: str) -> Steps:
        """Read a value whose parts do not matter."""
        start = self.at
        if token in "[{":
            yield from self.skip(is_checked=not kind.is_raw)
        elif token != '"':
            self.scalar(is_checked=False)
            is_number = token == NUMBER and not kind.is_raw
            if is_number and not _FITS[kind.numbers](self.data[start : self.at]):
                raise self._wrong()
        elif kind.text is Text.BASE64:
            yield from base64_text(self)
        else:
            yield from self.string()
            if kind.text is Text.THINK and not self._is_think(self.data[start : self.at]):
                raise self._wrong()

    def _next(self) -> Generator[None, None, Kind | None]:
        """Go from the end of a value to the next one, and say of which kind that must be."""
        while self._opened:
            if self.peek() in BLANK:
                yield from self.space()
            mark = self.peek()
            if mark == COMMA:
                self.at += 1
                return (yield from self._part())
            if mark != CLOSES[self._opened[-1][1]]:
                raise self.error("after a value ")
            self._close()
            if self.is_due():
                yield
        return None

    def _close(self) -> None:
        self._opened.pop()
        if self._missing.pop():
            raise self._wrong()
        self.leave()

    def _part(self) -> Generator[None, None, Kind | None]:
        """Go to the value of the next part: past its key, or past many plain items."""
        kind, mark = self._opened[-1]
        if mark == OBJECT:
            if self.count % _MEMBERS_PER_TRY == 0:
                yield from self._unnamed(kind)
            return (yield from self._member(kind))
        if kind.items is not None and kind.items.numbers is Numbers.INT64:
            while found := _INTEGERS.match(self.data, self.at, self.at + WINDOW_BYTES):
                if self.is_due(1 + self.pass_run(found) // 4):
                    yield
        return kind.items

    def _unnamed(self, parent: Kind) -> Steps:
        """Skip plain members by the hundred, as long as none of them has a name that is known."""
        if parent.values is None or parent.values.accepts != ANY.accepts:
            return
        while found := PLAIN_MEMBERS.match(self.data, self.at, self.at + WINDOW_BYTES):
            run = found[0].lower()
            if not run.isascii() or any(name.encode() in run for name in parent.fields):
                return
            if self.is_due(1 + self.pass_run(found) // 4):
                yield

    def _member(self, parent: Kind) -> Generator[None, None, Kind | None]:
        found = _SIMPLE_KEY.match(self.data, self.at, self.at + _KEY_LIMIT_BYTES)
        if found is not None:
            name = found[1].decode()
            self.at = found.end()
        else:
            name = yield from self._spelled_key(parent)
        if len(self._opened) == 1:
            self.field = name
        if folded(name) == self._missing[-1]:
            self._missing[-1] = ""
        return parent.fields.get(name) or parent.folds.get(folded(name)) or parent.values

    def _spelled_key(self, parent: Kind) -> Generator[None, None, str]:
        """A key that is written in an unusual way; "" for one that is too long to be a name."""
        yield from self.space()
        if self.peek() != QUOTE:
            raise self.error("looking for a key ")
        start = self.at
        yield from self.string()
        raw = self.data[start : min(self.at, start + _ORDERED_KEY_LIMIT_BYTES)]
        if parent.is_ordered and not _is_unicode(raw, is_whole=len(raw) == self.at - start):
            raise self._wrong()
        yield from self.space()
        if self.peek() != COLON:
            raise self.error("after a key ")
        self.at += 1
        return text_of(raw) if len(raw) <= _KEY_LIMIT_BYTES else ""

    def _note(self, note: Note) -> None:
        if not note.slot:
            return
        if len(self.notes) == NOTES_LIMIT:
            raise BodyTooComplex(f"the request names the same fields more than {NOTES_LIMIT} times")
        self.notes.append(note)

    def _is_empty(self, start: int, token: str) -> bool:
        if token == '"':
            return self.at - start == 2
        # What has so much white space in it is taken for empty; nobody sends it.
        inside = self.data[start + 1 : min(self.at - 1, start + WINDOW_BYTES)]
        return token in "[{" and not inside.strip(b" \t\n\r")

    @staticmethod
    def _is_think(raw: bytes) -> bool:
        return len(raw) <= _KEY_LIMIT_BYTES and text_of(raw) in _THINK

    def _wrong(self) -> WrongType:
        name = self.field[:100]
        return WrongType(f"{name} has a type that Ollama does not accept", field=name)


def _is_unicode(raw: bytes, *, is_whole: bool) -> bool:
    """Whether a key is text without half a character, as the reader of ordered maps wants it."""
    if not is_whole:
        raise BodyTooComplex(f"a key has more than {_ORDERED_KEY_LIMIT_BYTES} bytes")
    try:
        return is_well_formed(raw.decode())
    except UnicodeDecodeError:
        return False
