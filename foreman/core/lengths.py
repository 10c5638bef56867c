"""How long a body is by its headers: decided here alone, as Go decides it."""

from collections.abc import Iterable

from foreman.core.frames import Headers

# Go reads a length as a signed 64-bit integer.
LARGEST = 2**63 - 1
_MOST_DIGITS = len(str(LARGEST)) + 1
_ASCII_DIGITS = frozenset("0123456789")


def length_of(text: str) -> int | None:
    """The value of a `Content-Length`: ASCII digits only; None for anything else."""
    if not 0 < len(text) <= _MOST_DIGITS or not _ASCII_DIGITS.issuperset(text):
        return None
    length = int(text)
    return length if length <= LARGEST else None


def with_one_length(given: Iterable[tuple[str, str]]) -> Headers:
    """A target's headers with at most one `Content-Length`; ValueError when they contradict."""
    headers = list(given)
    codings = [value.strip().lower() for name, value in headers if _is(name, "transfer-encoding")]
    if codings not in ([], ["chunked"]):
        raise ValueError(f"Transfer-Encoding is {', '.join(codings)!r}")
    lengths = {value.strip() for name, value in headers if _is(name, "content-length")}
    if len(lengths) > 1:
        raise ValueError("there are two values of Content-Length")
    for length in lengths:
        if length_of(length) is None:
            raise ValueError(f"Content-Length is {length[:40]!r}")
    others = [pair for pair in headers if not _is(pair[0], "content-length")]
    if codings or not lengths:
        return others  # a chunked body says itself where it ends
    return [*others, ("Content-Length", lengths.pop())]


def promised_length(headers: Headers) -> int | None:
    """The length in headers that went through `with_one_length`; None when there is none."""
    lengths = (int(value) for name, value in headers if _is(name, "content-length"))
    return next(lengths, None)


def _is(name: str, wanted: str) -> bool:
    return name.lower() == wanted
