"""What foreman needs of a target's JSON answer: found step by step, and little of it is built.

A target is not trusted with the time or the memory of this process. However long its answer is, a
step does a bounded amount of work, and a value is built only when it is short.
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from foreman.core.reading.scan import ARRAY, ARRAY_END, COMMA, OBJECT, OBJECT_END, Scan, Unreadable
from foreman.core.reading.values import text_of
from foreman.errors import BodyTooComplex

T = TypeVar("T")
Reading = Generator[None, None, T]  # a step of bounded work at a time

# Of a whole answer: some 4000 models. To skip as many takes a tenth of a second.
VALUES_LIMIT = 100_000
ITEMS_LIMIT = 10_000  # of one array or object
# Of one value that is built: a model in a list has some 600 bytes.
VALUE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in an answer."""

    start: int
    end: int


class _Scan(Scan):
    """A scan that gives up sooner, and never because of the request."""

    def note_values(self, count: int = 1) -> None:
        self.count += count
        if self.count > VALUES_LIMIT:
            raise Unreadable(f"the answer has more than {VALUES_LIMIT} values")


def members_of(answer: bytes, at: Place | None = None) -> Reading[dict[str, Place]]:
    """The members of an object, by name: of the whole answer, or of a value in it.

    Of two with one name the last one counts. Unreadable for what is no object.
    """
    scan = _Scan(answer, at.start if at else 0)
    yield from scan.space()
    members: dict[str, Place] = {}
    yield from _opened(scan, OBJECT)
    while scan.peek() != OBJECT_END:
        yield from scan.space()
        start = scan.at
        yield from scan.key()
        name = _name(answer, start, scan.at)
        members[name] = yield from _value(scan)
        _check_count(len(members))
        yield from _separated(scan, OBJECT_END)
    scan.leave()
    if at is None:
        yield from scan.space()
        if scan.at < len(answer):
            raise scan.error("after the answer ")
    return members


def items_of(answer: bytes, at: Place) -> Reading[list[Place]]:
    """The items of an array in an answer; Unreadable for what is no array."""
    scan = _Scan(answer, at.start)
    items: list[Place] = []
    yield from _opened(scan, ARRAY)
    while scan.peek() != ARRAY_END:
        items.append((yield from _value(scan)))
        _check_count(len(items))
        yield from _separated(scan, ARRAY_END)
    return items


def is_object(answer: bytes, at: Place) -> bool:
    return answer.startswith(b"{", at.start)


def is_null(answer: bytes, at: Place) -> bool:
    return answer.startswith(b"null", at.start)


def raw(answer: bytes, at: Place) -> bytes:
    """The text of a value."""
    return answer[at.start : at.end]


def built(answer: bytes, at: Place) -> object:
    """A value of an answer; Unreadable for one that is too long or nested too deeply."""
    if at.end - at.start > VALUE_LIMIT_BYTES:
        raise Unreadable(f"a value has more than {VALUE_LIMIT_BYTES} bytes")
    try:
        return json.loads(raw(answer, at))
    except RecursionError as exc:
        raise Unreadable("nested too deeply") from exc
    except ValueError as exc:
        raise Unreadable(str(exc)) from exc


def _check_count(count: int) -> None:
    if count > ITEMS_LIMIT:
        raise Unreadable(f"the answer has more than {ITEMS_LIMIT} entries")


def _opened(scan: Scan, mark: int) -> Reading[None]:
    """Go to the first part of an object or array; it begins here."""
    scan.note_values()
    if scan.peek() != mark:
        raise scan.error("looking for an object or an array ")
    scan.enter()
    yield from scan.space()


def _value(scan: Scan) -> Reading[Place]:
    """Skip a value."""
    yield from scan.space()
    start = scan.at
    try:
        yield from scan.skip(is_checked=False)
    except BodyTooComplex as exc:  # a number of many digits
        raise Unreadable(str(exc)) from exc
    return Place(start, scan.at)


def _separated(scan: Scan, end: int) -> Reading[None]:
    """Go past the comma after a part; or to the end, if it was the last one."""
    yield from scan.space()
    if scan.peek() == COMMA:
        scan.at += 1
        yield from scan.space()
        if scan.peek() == end:
            raise scan.error("after a comma ")
    elif scan.peek() != end:
        raise scan.error("after a value ")
    if scan.is_due():
        yield


def _name(answer: bytes, start: int, end: int) -> str:
    """The name in a key, with its colon and the white space around it."""
    text = answer[start:end].rstrip()[:-1].rstrip()
    if len(text) > VALUE_LIMIT_BYTES:
        raise Unreadable(f"a name has more than {VALUE_LIMIT_BYTES} bytes")
    return text_of(text)
