"""JSON in Go's spelling, so that a body put together here reads as if Ollama had written it.

Compact, in the order given, with the escapes of encoding/json. A number with a fraction or an
exponent keeps the text it came with: Go writes 1e-7 where Python writes 1e-07.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

Fields = dict[str, object]

_PIECE_CHARS = 64 * 1024

# encoding/json escapes these for HTML and JavaScript; in JSON they stand only inside strings.
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON that is written as it stands."""

    text: str


def read(given: bytes) -> object:
    """Parse one JSON value; ValueError when it is none, or nested too deeply to be read."""
    try:
        return _DECODER.decode(given.decode("utf-8", errors="replace"))
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def read_outline(given: bytes) -> object:
    """`read` for who needs no fractions: each is 0.0, a million of them take 8 MB and not 100."""
    try:
        return _OUTLINE.decode(given.decode("utf-8", errors="replace"))
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def write(value: object, ending: bytes = b"") -> bytes:
    """Write a value of `read`'s; ValueError when it is nested too deeply to be written."""
    written = _Written()
    try:
        _write(value, written.put)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return written.finish(ending)


class _Written:
    """Bytes that grow: of a large value, only a piece at a time exists as text as well."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._parts: list[str] = []
        self._chars = 0

    def put(self, text: str) -> None:
        self._parts.append(text)
        self._chars += len(text)
        if self._chars >= _PIECE_CHARS:
            self._flush()

    def finish(self, ending: bytes) -> bytes:
        self._flush()
        self._bytes.write(ending)
        return self._bytes.getvalue()

    def _flush(self) -> None:
        text = "".join(self._parts).translate(_ESCAPES)
        self._parts.clear()
        self._chars = 0
        try:
            self._bytes.write(text.encode())
        except UnicodeEncodeError:
            # Two halves of a pair may have come in two pieces; half a pair alone becomes U+FFFD.
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self._bytes.write(whole.encode())


def _write(value: object, put: Callable[[str], object]) -> None:
    if isinstance(value, Raw):
        put(value.text)
    elif isinstance(value, dict):
        before = "{"
        for key, item in value.items():
            put(f"{before}{_encode(key)}:")
            _write(item, put)
            before = ","
        put("}" if value else "{}")
    elif isinstance(value, list) and not all(type(item) is int for item in value):
        before = "["
        for item in value:
            put(before)
            _write(item, put)
            before = ","
        put("]")
    elif isinstance(value, str) and len(value) > _PIECE_CHARS:
        put('"')
        for piece in _pieces(value):
            put(_encode(piece)[1:-1])
        put('"')
    else:
        # A scalar, or a list of integers: a context has one for every token.
        put(_encode(value))


def _pieces(text: str) -> Iterator[str]:
    """A long text in pieces; the two halves of a surrogate pair stay together."""
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARS
        if "\ud800" <= text[end - 1 : end] <= "\udbff":
            end += 1
        yield text[start:end]
        start = end


def ordered(given: Mapping[str, object], order: Iterable[str]) -> Fields:
    """The same fields, those of `order` first and in its order, the others as they came."""
    known = {key: given[key] for key in order if key in given}
    return {**known, **given}


def fields(value: object) -> Fields:
    """The value if it is an object, else one without fields."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """The value if it is an integer of 64 bits; true and false are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < 2**63 else None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Raw, parse_constant=_no_constant)
_OUTLINE = json.JSONDecoder(parse_float=lambda _: 0.0, parse_constant=_no_constant)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
