"""Single JSON values as Go reads them: strings, numbers, durations. All of them are short."""

import json
import re

_LONE = re.compile(r"[\ud800-\udfff]")
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(rb"-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?")
_SHORT_NUMBER = 300  # so many digits fit a float, whatever they are
_FLOAT32_LIMIT = 3.4028235677973366e38  # what is nearer to infinity than to the largest

_LARGEST = 2**63 - 1

_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\N{MICRO SIGN}s": 10**3,
    "\N{GREEK SMALL LETTER MU}s": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def text_of(raw: bytes) -> str:
    """The string that `raw` writes, with its quotes; what is no character is U+FFFD."""
    # One replacement for each bad byte, as in Go; Python's own "replace" joins some.
    text = raw.decode("utf-8", "surrogateescape")
    inner = json.loads(text) if "\\" in text else text[1:-1]
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", inner)


def is_well_formed(text: str) -> bool:
    """Whether the string that `text` writes, with its quotes, has no half of a pair in it."""
    return "\\u" not in text or _LONE.search(json.loads(text)) is None


def float_of(raw: bytes) -> float:
    """The number as a float; infinite when it does not fit one."""
    if len(raw) <= 2 * _SHORT_NUMBER:
        return float(raw)
    found = _NUMBER.fullmatch(raw)
    assert found is not None  # it was scanned
    whole, fraction, exponent = found[1], found[2] or b"", found[3] or b"0"
    digits = (whole + fraction).lstrip(b"0")
    if not digits:
        return 0.0
    if len(exponent.lstrip(b"+-0")) > 9:
        return 0.0 if exponent.startswith(b"-") else float("inf")
    power = int(exponent) + len(whole) - (len(whole + fraction) - len(digits))
    value = float(f"0.{digits[: 3 * _SHORT_NUMBER].decode()}e{power}")
    return -value if raw.startswith(b"-") else value


def is_finite(raw: bytes) -> bool:
    """Whether a number fits a float of 64 bits."""
    if len(raw) < _SHORT_NUMBER and b"e" not in raw and b"E" not in raw:
        return True
    return abs(float_of(raw)) != float("inf")


def is_float32(raw: bytes) -> bool:
    return abs(float_of(raw)) < _FLOAT32_LIMIT


def is_int64(raw: bytes) -> bool:
    """Whether a number is an integer of 64 bits, written as one."""
    return _INTEGER.fullmatch(raw) is not None and -_LARGEST - 1 <= int(raw) <= _LARGEST


def is_byte(raw: bytes) -> bool:
    return len(raw) <= 3 and raw.isdigit() and int(raw) < 256


def duration_of(raw: bytes) -> int:
    """What Ollama reads as a `keep_alive`, in nanoseconds; what is negative is for ever.

    A number is seconds, a string is Go's `time.ParseDuration`; ValueError for all else.
    """
    if raw.startswith(b'"'):
        parsed = _parse_duration(text_of(raw))
    elif raw[:1] in b"-0123456789":
        seconds = float_of(raw)
        if seconds == float("inf") or seconds == float("-inf"):
            raise ValueError("the number is too large")
        parsed = int(min(seconds * 1e9, _LARGEST)) if seconds >= 0 else -1
    else:
        raise ValueError("must be a number of seconds, or a duration such as 5m")
    return parsed if parsed >= 0 else _LARGEST


def _parse_duration(text: str) -> int:
    """Nanoseconds, below zero for a negative duration; linear in the text."""
    rest = text[1:] if text[:1] in ("-", "+") and text else text
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        found = _TERM.match(rest, at)
        if found is None or not (found[1] or found[2]) or found[3] not in _UNITS:
            raise ValueError(f"{text[:40]!r} is not a duration such as 5m or 1h30m")
        total += _term(found[1], found[2] or "", _UNITS[found[3]])
        # Go's limit for each partial sum.
        if total > _LARGEST + 1:
            raise ValueError("the duration is too long")
        at = found.end()
    if not rest:
        raise ValueError("an empty string is not a duration")
    is_negative = text.startswith("-")
    if total > _LARGEST and not is_negative:
        raise ValueError("the duration is too long")
    return -total if is_negative else total


def _term(whole: str, fraction: str, unit: int) -> int:
    """One number with its unit, in nanoseconds; what is below one is cut off."""
    whole = whole.lstrip("0")
    if len(whole) > 19 or int(whole or 0) > (_LARGEST + 1) // unit:
        raise ValueError("the duration is too long")
    # As in Go: as many digits as an integer of 64 bits holds, and floats for the rest.
    part, scale = 0, 1.0
    for digit in fraction[:400]:
        more = part * 10 + int(digit)
        if part > _LARGEST // 10 or more > _LARGEST + 1:
            break
        part, scale = more, scale * 10
    return int(whole or 0) * unit + int(part * (unit / scale))
