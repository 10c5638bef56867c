"""How long a target's answer is, by its headers: decided here alone, as Go decides it."""

from collections.abc import Iterable

from foreman.core.frames import Headers

# Go reads a length as a signed 64-bit integer.
_LARGEST = 2**63 - 1
_MOST_DIGITS = len(str(_LARGEST))
_ASCII_DIGITS = frozenset("0123456789")


def with_one_length(given: Iterable[tuple[str, str]]) -> Headers:
    """The headers with at most one `Content-Length`; ValueError when they contradict themselves."""
    headers = list(given)
    codings = [value.strip().lower() for name, value in headers if _is(name, "transfer-encoding")]
    if codings not in ([], ["chunked"]):
        raise ValueError(f"Transfer-Encoding is {', '.join(codings)!r}")
    lengths = {value.strip() for name, value in headers if _is(name, "content-length")}
    if len(lengths) > 1:
        raise ValueError("there are two values of Content-Length")
    for length in lengths:
        is_number = 0 < len(length) <= _MOST_DIGITS and _ASCII_DIGITS.issuperset(length)
        if not is_number or int(length) > _LARGEST:
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
