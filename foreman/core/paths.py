"""One reading of a request's path: how it is cleaned, decoded, and written for a target.

Ollama has two readers. Go's `http.ServeMux` looks at the path as it was spelled and redirects one
with empty or dot segments. gin then matches the decoded path, in which `%2f` is a slash, and
redirects one with a slash too many at its end. Both are followed here to the byte, so that no
spelling reaches a target as another route than the one that foreman found.
"""

import re
from posixpath import normpath
from urllib.parse import quote, unquote_to_bytes

# What supervisors and load balancers ask for: answered whatever else is refused.
HEALTH = ("/healthz", "/readyz")

# What Go's URL type writes unescaped in a path, in addition to letters, digits and "-_.~".
_GO_PATH = "$&+,/:;=@"
# What may stand in one segment of a request line; an escape that is there already stays.
_SEGMENT = "%!$&'()*+,;=:@"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

_GO_ESCAPED = re.compile(r"[A-Za-z0-9\-_.~%/!$&'()*+,;=:@\[\]]*")
_SLASH = re.compile("/|%2f", re.IGNORECASE)
_NO_PATH = re.compile(r"[\x00-\x1f\x7f]|%(?![0-9a-fA-F]{2})")


def is_readable(path: str) -> bool:
    """Whether Go reads the path at all: from the root, whole escapes, no control characters."""
    return path[:1] in ("", "/") and _NO_PATH.search(path) is None


def cleaned(path: str) -> str:
    """The path without empty and dot segments; a slash at its end stays."""
    clean = normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def decoded(path: str) -> str:
    """The path with its escapes resolved: bytes as latin-1, as servers hand them over."""
    return unquote_to_bytes(in_ascii(path)).decode("latin-1")


def last_segment(path: str) -> str:
    """The last segment as the client escaped it, safe to put into a request line."""
    segment = _SLASH.split(path)[-1]
    return quote(segment.encode("latin-1", errors="replace"), safe=_SEGMENT)


def as_location(path: str) -> str:
    """A decoded path as Go's redirects write it."""
    return cleaned(quote(path, safe=_GO_PATH, encoding="latin-1"))


def escaped(path: str) -> str:
    """A path as Go's mux reads it: as it was sent where that is a valid spelling."""
    if _GO_ESCAPED.fullmatch(path):
        return path
    return quote(unquote_to_bytes(in_ascii(path)), safe=_GO_PATH)


def in_ascii(text: str) -> str:
    """A path or a query as it may stand in a header; escapes that are there stay."""
    return quote(text.encode("latin-1", errors="replace"), safe=_PRINTABLE)
