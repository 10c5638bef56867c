"""How Go writes values: compact JSON with its escapes, times to the nanosecond, durations."""

import json
import re
import time
from datetime import UTC, datetime, timedelta

# encoding/json escapes these for HTML and JavaScript; a reader sees the same text either way.
_GO_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def go_json(value: object) -> bytes:
    """Marshal as encoding/json does; keys keep their order."""
    return _encode(value).translate(_GO_ESCAPES).encode("utf-8", "replace")


class _Clock:
    """Formats a second once: a stream asks for thousands of times in the same one."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self) -> str:
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            at = datetime.fromtimestamp(second, UTC)
            self._second, self._text = second, at.strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"


# The time as RFC3339Nano in UTC, without trailing zeros.
now_text = _Clock().text


def later_text(after_s: float) -> str:
    """The time `after_s` from now; a century ahead is as good as Ollama's 292 years."""
    at = datetime.now(UTC) + timedelta(seconds=after_s)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_STEP = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµμ]*)")


def duration_s(text: str) -> float:
    """Parse as time.ParseDuration; a ValueError has its words."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while step := _STEP.match(rest, position):
        number, unit = step.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS_S:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += float(number) * _UNITS_S[unit]
        position = step.end()
    if not rest or position != len(rest):
        raise ValueError(f"time: invalid duration {quote(text)}")
    return sign * total


def quote(text: str) -> str:
    """A string in double quotes, as %q prints it (close enough for names)."""
    return json.dumps(text, ensure_ascii=False)
