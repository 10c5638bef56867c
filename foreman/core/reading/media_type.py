"""The value of Content-Type and Content-Disposition, as Go's `mime.ParseMediaType` reads it."""

import re
from collections.abc import Mapping
from itertools import count

from foreman.core.reading.scan import Unreadable

_LIMIT = 8 * 1024
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"{_TOKEN}(?:/{_TOKEN})?")
# Before anything else a backslash stands for itself.
_ESCAPED = re.compile(r'\\([()<>@,;:\\"/\[\]?=])')
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PARAMETER = re.compile(
    rf"[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*"
    rf'(?:({_TOKEN})|"((?:{_ESCAPED.pattern}|[^"\r\n])*+)")[ \t]*'
)


class BadMediaType(Unreadable):
    """Go does not read this header; of a part it then knows nothing."""


def media_type(text: str) -> tuple[str, dict[str, str]]:
    """The type in lower case and its parameters; BadMediaType when Go does not read it.

    Bytes that are written as %XX in the form of RFC 2231 (`name*=…`) are the characters of the
    same number.
    """
    if len(text) > _LIMIT:
        raise Unreadable("a header is too long")
    kind = text.partition(";")[0]
    at = len(kind)
    kind = kind.strip().lower()
    if _TYPE.fullmatch(kind) is None:
        raise BadMediaType("a header names no type")
    params: dict[str, str] = {}
    while text[at:].strip(" \t") not in ("", ";"):
        found = _PARAMETER.match(text, at)
        if found is None:
            raise BadMediaType("a header has a parameter that cannot be read")
        name, value = found[1].lower(), found[2] or _ESCAPED.sub(r"\1", found[3] or "")
        if params.setdefault(name, value) != value:
            raise BadMediaType("a header has a parameter twice")
        at = found.end()
    plain = {name: value for name, value in params.items() if "*" not in name}
    for name in {key.partition("*")[0] for key in params if "*" in key}:
        value = _extended(name, params)
        if value is not None:
            plain[name] = value
    return kind, plain


def _extended(name: str, params: Mapping[str, str]) -> str | None:
    """The value of a parameter in the form of RFC 2231, by Go's reading; None for none."""
    if f"{name}*" in params:
        return _decoded(params[f"{name}*"])
    pieces: list[str] = []
    for number in count():
        key = f"{name}*{number}"
        if key in params:
            pieces.append(params[key])
        elif f"{key}*" in params:
            encoded = params[f"{key}*"]
            pieces.append((_unescaped(encoded) if number else _decoded(encoded)) or "")
        else:
            break
    return "".join(pieces) if pieces else None


def _decoded(text: str) -> str | None:
    """What `utf-8'en'%41` says; None in any other character set."""
    charset, _, rest = text.partition("'")
    _, mark, value = rest.partition("'")
    return _unescaped(value) if mark and charset.lower() in ("us-ascii", "utf-8") else None


def _unescaped(text: str) -> str | None:
    if _BAD_ESCAPE.search(text):
        return None
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
