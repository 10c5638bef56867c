"""The value of Content-Type and Content-Disposition, as Go's `mime.ParseMediaType` reads it."""

import re

from foreman.core.reading.scan import Unreadable

_LIMIT = 8 * 1024
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"{_TOKEN}(?:/{_TOKEN})?")
# Before anything else a backslash stands for itself.
_ESCAPED = re.compile(r'\\([()<>@,;:\\"/\[\]?=])')
_PARAMETER = re.compile(
    rf"[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*"
    rf'(?:({_TOKEN})|"((?:{_ESCAPED.pattern}|[^"\r\n])*+)")[ \t]*'
)


class BadMediaType(Unreadable):
    """Go does not read this header; of a part it then knows nothing."""


def media_type(text: str) -> tuple[str, dict[str, str]]:
    """The type in lower case and its parameters; BadMediaType when Go does not read it.

    Parameters in the form of RFC 2231 (`name*=…`) stay as they are written.
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
    return kind, params
