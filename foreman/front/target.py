"""The target of a request line, as Go reads it."""

import re

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://([^/?]*)(.*)", re.DOTALL)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def in_ascii(line: bytes) -> bytes:
    """A request line whose bytes beyond ASCII are escaped: browsers send them so, curl does not."""
    return _NOT_ASCII.sub(lambda found: b"%%%02X" % ord(found[0]), line)


def origin_form(target: str) -> tuple[str, str | None]:
    """The path with its query, and the host where the target names one, as if to a proxy."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return target, None
    authority, path = found.groups()
    host = authority.rpartition("@")[2]
    return (path if path.startswith("/") else f"/{path}"), host
