"""A field of a multipart form, read as Go's `ParseMultipartForm` and `FormValue` do.

One pass over the body, a part at a time; files are skipped. A parameter of the query comes before
a field of the same name, as in Go.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from foreman.core.reading.media_type import BadMediaType, media_type
from foreman.core.reading.scan import STEP_BYTES, STEP_TOKENS, Unreadable
from foreman.errors import BodyTooComplex

# Go's own limits: of parts in a form, and of a line that may be a boundary.
PARTS_LIMIT = 1000
_LINE_LIMIT_BYTES = 4096
HEADERS_LIMIT_BYTES = 64 * 1024  # of one part
VALUE_LIMIT_BYTES = 64 * 1024

_HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-][!#$%&'*+.^_`|~0-9A-Za-z -]*):[ \t]*([^\x00-\x08\n-\x1f\x7f]*)"
)
_AFTER_BOUNDARY = (b" ", b"\t", b"\r", b"\n", b"--")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|;")


def form_value(body: bytes, content_type: str, query: str, name: str) -> Generator[None, None, str]:
    """The value of a field, "" for none; Unreadable for what Go takes for no form."""
    kind, params = media_type(content_type)
    boundary = params.get("boundary", "").encode("latin-1", errors="replace")
    if kind != "multipart/form-data" or not 0 < len(boundary) < _LINE_LIMIT_BYTES // 2:
        raise Unreadable("the body is not a multipart form")
    found = [value for key, value in _parameters(query) if key == name]
    form = _Form(body, b"--" + boundary)
    for _ in range(PARTS_LIMIT):
        part = yield from form.next_part()
        if part is None:
            return found[0] if found else ""
        if part.name == name and not part.is_file:
            if part.end - part.start > VALUE_LIMIT_BYTES:
                raise BodyTooComplex(f"the value of {name} has more than {VALUE_LIMIT_BYTES} bytes")
            found.append(body[part.start : part.end].decode("utf-8", errors="replace"))
    raise Unreadable(f"the form has more than {PARTS_LIMIT} parts")


def _named(disposition: str) -> tuple[str, bool]:
    """The name of a part, "" for none, and whether it is a file."""
    try:
        kind, params = media_type(disposition)
    except BadMediaType:
        return "", False
    name = params.get("name", "") if kind == "form-data" else ""
    return name, bool(params.get("filename"))


def _is_encoded(header: re.Match[bytes]) -> bool:
    is_encoding = header[1].lower() == b"content-transfer-encoding"
    return is_encoding and header[2].strip().lower() == b"quoted-printable"


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        if _BAD_ESCAPE.search(pair):
            raise Unreadable("the query is not encoded correctly")
        key, _, value = pair.partition("=")
        yield unquote_plus(key), unquote_plus(value)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part: its name, and where its content stands."""

    name: str
    is_file: bool
    start: int
    end: int


class _Form:
    """A form that is read part by part."""

    def __init__(self, body: bytes, boundary: bytes) -> None:
        self._body = body
        self._boundary = boundary
        self._line_end = b"\r\n"
        self._at = 0
        self._has_begun = False

    def next_part(self) -> Generator[None, None, _Part | None]:
        """Read one part; None when the form has ended as it must."""
        yield
        if not (yield from self._pass_boundary()):
            return None
        self._has_begun = True
        headers = self._headers()
        if headers is None:
            return None
        name, is_file = headers
        start = self._at
        end = yield from self._content_end()
        return _Part(name, is_file, start, end)

    def _pass_boundary(self) -> Generator[None, None, bool]:
        """Go past the next line that is a boundary; False when it is the last one."""
        is_separated = False
        lines = 0
        while True:
            line = self._line()
            if line.startswith(self._boundary):
                rest = line[len(self._boundary) :]
                if rest.startswith(b"--") and rest[2:].lstrip(b" \t") in (b"", self._line_end):
                    return False
                rest = rest.lstrip(b" \t")
                if not self._has_begun and rest == b"\n":
                    self._line_end = b"\n"
                if rest == self._line_end:
                    return True
            if not line.endswith(b"\n") or is_separated:
                raise Unreadable("the form is incomplete")
            if self._has_begun:
                if line != self._line_end:
                    raise Unreadable("a part of the form is not terminated correctly")
                is_separated = True
            lines += 1
            if lines % STEP_TOKENS == 0:
                yield

    def _line(self) -> bytes:
        end = self._body.find(b"\n", self._at, self._at + _LINE_LIMIT_BYTES)
        end = end + 1 if end >= 0 else min(len(self._body), self._at + _LINE_LIMIT_BYTES)
        line = self._body[self._at : end]
        if len(line) == _LINE_LIMIT_BYTES:
            raise Unreadable("a line of the form is too long")
        self._at = end
        return line

    def _headers(self) -> tuple[str, bool] | None:
        """The name that a part's headers give it, and whether it is a file.

        None when the body ends in them: to Go that is the end of the form, and no error.
        """
        began, disposition = self._at, ""
        while line := self._line():
            header = line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line
            if not header:
                return _named(disposition)
            found = _HEADER.fullmatch(header)
            # A header in several lines, or content that is encoded, is left to the target.
            if found is None or _is_encoded(found):
                raise Unreadable("a part of the form has an unsupported header")
            if found[1].lower() == b"content-disposition" and not disposition:
                disposition = found[2].decode("utf-8", errors="replace")
            if self._at - began > HEADERS_LIMIT_BYTES:
                raise Unreadable("a part of the form has too many headers")
        return None

    def _content_end(self) -> Generator[None, None, int]:
        """Go to the line end in front of the next boundary: where the content ends."""
        if self._is_boundary(self._at):
            return self._at
        wanted = self._line_end + self._boundary
        while True:
            limit = self._at + STEP_BYTES + len(wanted)
            found = self._body.find(wanted, self._at, limit)
            if found < 0 and limit >= len(self._body):
                raise Unreadable("the form is incomplete")
            if found >= 0 and self._is_boundary(found + len(self._line_end)):
                self._at = found
                return found
            self._at = found + len(self._line_end) if found >= 0 else self._at + STEP_BYTES
            yield

    def _is_boundary(self, at: int) -> bool:
        if not self._body.startswith(self._boundary, at):
            return False
        after = at + len(self._boundary)
        return after == len(self._body) or self._body.startswith(_AFTER_BOUNDARY, after)
