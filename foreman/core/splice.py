"""Change single values in a body; every other byte stays as it is."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """These bytes instead of those from `start` to `end`."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Spliced:
    """A body with changes that are made while it is written: a large one is never held twice.

    No two of the changes may touch each other.
    """

    stored: bytes = field(repr=False)
    splices: tuple[Splice, ...] = ()

    def __len__(self) -> int:
        return len(self.stored) + sum(
            len(each.text) - (each.end - each.start) for each in self.splices
        )

    def __bytes__(self) -> bytes:
        return spliced(self.stored, self.splices) if self.splices else self.stored

    def parts(self) -> list[bytes | memoryview]:
        """The body in parts, without a copy of it."""
        return parts_of(self.stored, self.splices)


def new_member(brace: int, member: bytes, *, is_empty: bool) -> Splice:
    """One more member, or several, as the first of the object that begins at `brace`."""
    return Splice(brace + 1, brace + 1, member if is_empty else member + b",")


def spliced(body: bytes, splices: Iterable[Splice]) -> bytes:
    """The body with these changes; no two of them may touch each other."""
    return b"".join(parts_of(body, splices))


def parts_of(body: bytes, splices: Iterable[Splice]) -> list[bytes | memoryview]:
    """The same in parts, most of them views of the body: a large one is not copied."""
    view, at = memoryview(body), 0
    pieces: list[bytes | memoryview] = []
    for splice in sorted(splices):
        pieces += [view[at : splice.start], splice.text]
        at = splice.end
    return [*pieces, view[at:]]


def cut(held: list[bytes], start: int, end: int) -> bytes:
    """A part of the body in a list, which is empty after it.

    If nobody else holds the body, the part takes its place in memory, and nothing is copied.
    """
    part = io.BytesIO(held.pop())
    with part.getbuffer() as view:
        view[: end - start] = view[start:end]
    part.truncate(end - start)
    return part.getvalue()
