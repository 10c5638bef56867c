"""Where the members of a JSON object stand in its text, so that one value can change alone.

The text is the bytes read as Latin-1: then a character is a byte and a position an offset. JSON's
own marks are ASCII, so this finds the same members as reading UTF-8 does.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Ollama knows some twenty fields. The walk is Python: what has more is not worth a second of it.
MEMBER_LIMIT = 1000

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its key, and where its value begins and ends."""

    key: str
    start: int
    end: int


def members(text: str, at: int = 0) -> Iterator[Member]:
    """Yield the members of the object that begins at `at`, in their order.

    ValueError or RecursionError when there is no whole object of at most MEMBER_LIMIT members.
    """
    at = _after(text, at, "{")
    if text.startswith("}", at):
        return
    for _ in range(MEMBER_LIMIT):
        if not text.startswith('"', at):
            raise ValueError(f"no key at {at}")
        _, key_end = _DECODER.raw_decode(text, at)
        start = _after(text, key_end, ":")
        _, end = _DECODER.raw_decode(text, start)
        yield Member(value_at(text, at, key_end), start, end)
        if text.startswith("}", after_space(text, end)):
            return
        at = _after(text, end, ",")
    raise ValueError(f"more than {MEMBER_LIMIT} members")


def value_at(text: str, start: int, end: int) -> Any:
    """The JSON value that stands there, its bytes read as UTF-8."""
    return json.loads(text[start:end].encode("latin-1").decode("utf-8", errors="replace"))


def after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after(text: str, at: int, mark: str) -> int:
    """Where what follows `mark` begins; the mark stands at `at`, with space around it or not."""
    at = after_space(text, at)
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark} at {at}")
    return after_space(text, at + 1)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
