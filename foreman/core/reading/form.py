"""A field of a multipart form, read as Go's `ParseMultipartForm` and `FormValue` do.

One pass over the body, a part at a time; files are skipped. A parameter of the query comes before
a field of the same name, as in Go.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from foreman.core.reading.media_type import BadMediaType, media_type
from foreman.core.reading.quoted import unquoted
from foreman.core.reading.scan import COUNT_LIMIT, STEP_BYTES, STEP_TOKENS, Unreadable
from foreman.errors import BodyTooComplex

# Go's own limits: of parts in a form, and of a line that may be a boundary.
PARTS_LIMIT = 1000
_LINE_LIMIT_BYTES = 4096
HEADERS_LIMIT_BYTES = 64 * 1024  # of one part
VALUE_LIMIT_BYTES = 64 * 1024

_HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-][!#$%&'*+.^_`|~0-9A-Za-z -]*):[ \t]*([^\x00-\x08\n-\x1f\x7f]*)"
)
_BLANKS = (b" ", b"\t")
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
        if part.is_file or not (part.name == name or part.is_encoded):
            continue
        if part.end - part.start > VALUE_LIMIT_BYTES:
            raise BodyTooComplex(
                f"the value of {part.name[:100]} has more than {VALUE_LIMIT_BYTES} bytes"
            )
        value = body[part.start : part.end]
        if part.is_encoded:
            value = unquoted(value)  # of any field: an error in it is one of the form
        if part.name == name:
            found.append(value.decode("utf-8", errors="replace"))
    raise Unreadable(f"the form has more than {PARTS_LIMIT} parts")


def _described(headers: Mapping[bytes, bytes]) -> "_Described":
    """What the headers of a part say; nothing of its name where Go does not read it."""
    disposition = headers.get(b"content-disposition", b"").decode("utf-8", errors="replace")
    encoding = headers.get(b"content-transfer-encoding", b"").lower()
    try:
        kind, params = media_type(disposition)
    except BadMediaType:
        return _Described()
    name = params.get("name", "") if kind == "form-data" else ""
    # What has no name is not read at all. Of a file only where it ends matters here.
    is_encoded = bool(name) and encoding == b"quoted-printable"
    return _Described(name, bool(params.get("filename")), is_encoded)


def _without_end(line: bytes) -> bytes:
    return line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        if _BAD_ESCAPE.search(pair):
            raise Unreadable("the query is not encoded correctly")
        key, _, value = pair.partition("=")
        yield unquote_plus(key), unquote_plus(value)


@dataclass(frozen=True, slots=True)
class _Described:
    """What the headers of a part say of it."""

    name: str = ""
    is_file: bool = False
    is_encoded: bool = False  # its content is quoted-printable


@dataclass(frozen=True, slots=True)
class _Part(_Described):
    """One part, and where its content stands."""

    start: int = 0
    end: int = 0


class _Form:
    """A form that is read part by part."""

    def __init__(self, body: bytes, boundary: bytes) -> None:
        self._body = body
        self._boundary = boundary
        self._line_end = b"\r\n"
        self._at = 0
        self._count = 0
        self._has_begun = False

    def next_part(self) -> Generator[None, None, _Part | None]:
        """Read one part; None when the form has ended as it must."""
        yield
        if not (yield from self._pass_boundary()):
            return None
        self._has_begun = True
        described = yield from self._headers()
        if described is None:
            return None
        start = self._at
        end = yield from self._content_end()
        return _Part(described.name, described.is_file, described.is_encoded, start, end)

    def _pass_boundary(self) -> Generator[None, None, bool]:
        """Go past the next line that is a boundary; False when it is the last one."""
        is_separated = False
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
            if self._is_due():
                yield

    def _line(self, limit_bytes: int = _LINE_LIMIT_BYTES) -> bytes:
        end = self._body.find(b"\n", self._at, self._at + limit_bytes)
        end = end + 1 if end >= 0 else min(len(self._body), self._at + limit_bytes)
        line = self._body[self._at : end]
        if len(line) == limit_bytes and not line.endswith(b"\n"):
            raise Unreadable("a line of the form is too long")
        self._at = end
        return line

    def _is_due(self) -> bool:
        """Count a line, or a piece of content; whether a step has done enough."""
        self._count += 1
        if self._count > COUNT_LIMIT:
            raise BodyTooComplex(f"the form has more than {COUNT_LIMIT} lines")
        return self._count % STEP_TOKENS == 0

    def _headers(self) -> Generator[None, None, _Described | None]:
        """What the headers of a part say of it.

        None when the body ends in them: to Go that is the end of the form, and no error.
        """
        began = self._at
        headers: dict[bytes, bytes] = {}  # the first of each name
        while line := self._line(HEADERS_LIMIT_BYTES):
            if not (header := _without_end(line)):
                return _described(headers)
            if b":" not in header or header.startswith(_BLANKS):
                raise Unreadable("a part of the form has a header without a name")
            # A header in several lines: they are joined by one space each, also the empty ones.
            lines = [header.strip(b" \t")]
            while self._body.startswith(_BLANKS, self._at):
                line = self._line(HEADERS_LIMIT_BYTES)
                lines.append(_without_end(line).strip(b" \t"))
                yield from self._check_headers(began)
            found = _HEADER.fullmatch(b" ".join(lines))
            if found is None:
                raise Unreadable("a part of the form has an unsupported header")
            headers.setdefault(found[1].lower(), found[2])
            yield from self._check_headers(began)
        return None

    def _check_headers(self, began: int) -> Iterator[None]:
        if self._at - began > HEADERS_LIMIT_BYTES:
            raise Unreadable("a part of the form has too many headers")
        if self._is_due():
            yield

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
            if self._is_due() or found < 0:
                yield

    def _is_boundary(self, at: int) -> bool:
        if not self._body.startswith(self._boundary, at):
            return False
        after = at + len(self._boundary)
        return after == len(self._body) or self._body.startswith(_AFTER_BOUNDARY, after)
