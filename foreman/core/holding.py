"""Answers that are of use only when they are whole: one JSON value, or a promised length."""

from collections.abc import Iterator


def held_back(chunks: Iterator[bytes], *, limit_bytes: int, piece_bytes: int) -> Iterator[bytes]:
    """The bytes of an answer, none of them before its end or before there are more than a limit.

    An answer that is cut until then was seen by nobody, and its job can start over. The bytes come
    in pieces again, because flow control counts by pieces.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > limit_bytes:
            break
    whole = b"".join(held)
    held.clear()
    for start in range(0, len(whole), piece_bytes):
        yield whole[start : start + piece_bytes]
    del whole
    yield from chunks
