"""Content in quoted-printable, as Go's `mime/quotedprintable` reads it."""

import re

from foreman.core.reading.scan import Unreadable

# Go's limit for a line: its reader's buffer.
_LINE_LIMIT_BYTES = 4096
_LINE = re.compile(rb"[^\n]*+\n|[^\n]++")
_SPACE = b"\n\r \t"
_ESCAPED = re.compile(rb"=([0-9A-Fa-f]{2})")
# A = before anything else but a line's end stands for itself.
_READABLE = re.compile(rb"(?:[^=\x00-\x08\x0b\x0c\x0e-\x1f\x7f]++|(?==[^\r\n])=)*+")


def unquoted(content: bytes) -> bytes:
    """The bytes that `content` stands for; Unreadable where Go refuses it."""
    return b"".join(map(_line, _LINE.findall(content)))


def _line(line: bytes) -> bytes:
    has_end = line.endswith(b"\n")
    if len(line) > _LINE_LIMIT_BYTES:
        raise Unreadable("a line in quoted-printable is too long")
    text = line.rstrip(_SPACE)
    if text.endswith(b"="):
        after, text, end = line[len(text) :].lstrip(b" \t"), text[:-1], b""
        is_last = not after and text and not has_end
        if not (after.startswith((b"\n", b"\r\n")) or is_last):
            raise Unreadable("there is something after a = in quoted-printable")
    else:
        end = (b"\r\n" if line.endswith(b"\r\n") else b"\n") if has_end else b""
    text += end
    if _READABLE.fullmatch(text) is None:
        raise Unreadable("a byte is not allowed in quoted-printable")
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), text)
