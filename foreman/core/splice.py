"""Change single values in a body; every other byte stays as it is."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """These bytes instead of those from `start` to `end`."""

    start: int
    end: int
    text: bytes


def new_member(brace: int, member: bytes, *, is_empty: bool) -> Splice:
    """One more member, or several, as the first of the object that begins at `brace`."""
    return Splice(brace + 1, brace + 1, member if is_empty else member + b",")


def spliced(body: bytes, splices: Iterable[Splice]) -> bytes:
    """The body with these changes; no two of them may touch each other."""
    view, at = memoryview(body), 0
    pieces: list[bytes | memoryview] = []
    for splice in sorted(splices):
        pieces += [view[at : splice.start], splice.text]
        at = splice.end
    return b"".join([*pieces, view[at:]])
