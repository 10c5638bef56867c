"""Walk over JSON text step by step: what is not needed is checked and skipped, never built.

The grammar is that of Go's encoding/json: strings may hold any bytes but control characters, and
no value is nested more than 10 000 levels deep. Every pattern here is linear, and every match sees
one window of the text, so that no step holds the interpreter for long.
"""

import re
from collections.abc import Iterator

from foreman.core.reading.values import is_finite
from foreman.errors import BodyTooComplex

DEPTH_LIMIT = 10_000  # Go's own
COUNT_LIMIT = 1_000_000  # values in a body: about a second of work
WINDOW_BYTES = 16 * 1024
NUMBER_LIMIT_BYTES = 8 * 1024  # of one number
# After this much work a step ends: about a millisecond.
STEP_BYTES = 64 * 1024
STEP_TOKENS = 600
RUN_LIMIT = 500

Steps = Iterator[None]

# Before Python 3.11.5 `(…)*+` keeps what an iteration has consumed before it failed. So a group
# that can fail after its first byte is in `(?>…)`, or looks ahead first, which costs no memory.
_WS = rb"[ \t\n\r]*+"
# What is simple enough to be skipped by the hundred: no escape and no comma in a string, and no
# number that a float could not hold.
_PLAIN = (
    rb'(?:"[^"\\,\x00-\x1f]*+"|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?'
    rb"|true|false|null|\[" + _WS + rb"\]|\{" + _WS + rb"\})"
)
_KEY = rb'"[^"\\,\x00-\x1f]*+"' + _WS + rb":"
_PLAIN_KEY = re.compile(_WS + _KEY)
_ITEMS = re.compile(rb"(?>(?:%b%b%b,){1,%d})" % (_WS, _PLAIN, _WS, RUN_LIMIT))
PLAIN_MEMBERS = re.compile(rb"(?>(?:%b%b%b%b%b,){1,%d})" % (_WS, _KEY, _WS, _PLAIN, _WS, RUN_LIMIT))
_SPACE = re.compile(_WS)
_TEXT = re.compile(rb'(?:[^"\\\x00-\x1f]++|(?=\\["\\/bfnrt])..|(?=\\u[0-9A-Fa-f]{4}).{6})*+')
_SCALAR = re.compile(
    rb"(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)|true|false|null"
)

QUOTE, COMMA, COLON = b'",:'
OBJECT, OBJECT_END, ARRAY, ARRAY_END = b"{}[]"
CLOSES = {OBJECT: OBJECT_END, ARRAY: ARRAY_END}
BLANK = frozenset(b" \t\n\r")


class Unreadable(ValueError):
    """Ollama would not accept this body; `field` is the one to blame, if it is one."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotJson(Unreadable):
    """The text is not JSON as Go reads it."""


class WrongType(Unreadable):
    """A value is not of its field's type."""


class Scan:
    """A position in a text, and what was done so far; `steps` ends a step when it is due."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.count = 0
        self.depth = 0
        self._tokens = 0
        self._began_at = at

    def is_due(self, tokens: int = 1) -> bool:
        """Whether a step has done enough; the caller yields then."""
        self._tokens += tokens
        if self._tokens < STEP_TOKENS and self.at - self._began_at < STEP_BYTES:
            return False
        self._tokens, self._began_at = 0, self.at
        return True

    def note_values(self, count: int = 1) -> None:
        self.count += count
        if self.count > COUNT_LIMIT:
            raise BodyTooComplex(f"the request body has more than {COUNT_LIMIT} values")

    def pass_run(self, found: re.Match[bytes]) -> int:
        """Skip what was found; returns how many parts it has: each ends with its only comma."""
        count = self.data.count(b",", self.at, found.end())
        self.at = found.end()
        self.note_values(count)
        return count

    def enter(self) -> None:
        self.depth += 1
        self.at += 1
        if self.depth > DEPTH_LIMIT:
            raise NotJson(f"nested more than {DEPTH_LIMIT} levels deep")

    def leave(self) -> None:
        self.depth -= 1
        self.at += 1

    def error(self, words: str = "") -> NotJson:
        if self.at >= len(self.data):
            return NotJson("unexpected end of JSON input")
        shown = self.data[self.at : self.at + 1].decode("latin-1")
        return NotJson(f"invalid character {shown!r} {words}at byte {self.at}")

    def peek(self) -> int:
        """The byte that stands here; -1 at the end."""
        return self.data[self.at] if self.at < len(self.data) else -1

    def space(self) -> Steps:
        """Skip white space."""
        while True:
            found = _SPACE.match(self.data, self.at, self.at + WINDOW_BYTES)
            assert found is not None  # it may be empty
            is_whole = found.end() < self.at + WINDOW_BYTES
            self.at = found.end()
            if is_whole:
                return
            if self.is_due():
                yield

    def string(self) -> Steps:
        """Skip a string; it begins here."""
        self.at += 1
        while True:
            began = self.at
            found = _TEXT.match(self.data, began, began + WINDOW_BYTES)
            assert found is not None  # it may be empty
            self.at = found.end()
            if self.peek() == QUOTE:
                self.at += 1
                return
            if self.at == began:
                raise self.error("in a string ")
            if self.is_due(1 + (self.at - began) // 64):
                yield

    def scalar(self, *, is_checked: bool) -> None:
        """Skip a number, true, false or null; `is_checked`: a number must fit a float."""
        began = self.at
        found = _SCALAR.match(self.data, began, began + WINDOW_BYTES)
        if found is None:
            raise self.error("looking for a value ")
        self.at = found.end()
        if self.at - began > NUMBER_LIMIT_BYTES:
            raise BodyTooComplex(f"a number has more than {NUMBER_LIMIT_BYTES} digits")
        if is_checked and found["number"] and not is_finite(found["number"]):
            raise WrongType("a number is too large")

    def skip(self, *, is_checked: bool) -> Steps:
        """Skip one value of any kind, and white space before it.

        `is_checked` is Go's `any`, into which each number must fit; what Go itself skips may hold
        any number.
        """
        opened = bytearray()
        while True:
            if self.is_due():
                yield
            first = self.peek()
            if first in BLANK:
                yield from self.space()
                first = self.peek()
            self.note_values()
            if first in CLOSES:
                self.enter()
                yield from self.space()
                if self.peek() != CLOSES[first]:
                    opened.append(first)
                    yield from self._within(first)
                    continue
                self.leave()
            elif first == QUOTE:
                yield from self.string()
            else:
                self.scalar(is_checked=is_checked)
            yield from self._after(opened)
            if not opened:
                return

    def _after(self, opened: bytearray) -> Steps:
        """Go from the end of a value to the next one; or past all that ends here."""
        while opened:
            mark = self.peek()
            if mark in BLANK:
                yield from self.space()
                mark = self.peek()
            if mark == COMMA:
                self.at += 1
                yield from self._within(opened[-1])
                return
            if mark != CLOSES[opened[-1]]:
                raise self.error("after a value ")
            opened.pop()
            self.leave()
            if self.is_due():
                yield

    def _within(self, opened: int) -> Steps:
        """Go to the next value that needs a look: past what is plain, and past a key."""
        runs = PLAIN_MEMBERS if opened == OBJECT else _ITEMS
        while found := runs.match(self.data, self.at, self.at + WINDOW_BYTES):
            count = self.pass_run(found)
            if self.is_due(1 + count // 4):
                yield
            if count < RUN_LIMIT // 4:
                break
        if opened == OBJECT:
            yield from self.key()

    def key(self) -> Steps:
        """Skip a key and its colon, and the white space around them."""
        found = _PLAIN_KEY.match(self.data, self.at, self.at + WINDOW_BYTES)
        if found is not None:
            self.at = found.end()
            return
        yield from self.space()
        if self.peek() != QUOTE:
            raise self.error("looking for a key ")
        yield from self.string()
        yield from self.space()
        if self.peek() != COLON:
            raise self.error("after a key ")
        self.at += 1
