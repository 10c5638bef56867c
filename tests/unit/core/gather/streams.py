"""What the tests of gathering share: calls, cuts, a way to write a stream, and what may differ."""

import itertools
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from foreman.core.gather.choose import gathering_for
from foreman.core.gather.gathering import Gathering

LIMIT_BYTES = 4 * 1024 * 1024
LINES, EVENTS = "application/x-ndjson", "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """A target's answer as it came."""

    content_type: str
    body: bytes


def call(url: str, endpoint: str, body: bytes) -> Answer:
    """Send a request and read all of a 200."""
    request = urllib.request.Request(url + endpoint, data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Answer(answer.headers["Content-Type"], answer.read())
    except urllib.error.HTTPError as exc:
        raise AssertionError(f"{exc.code}: {exc.read().decode()}") from exc


def fed(endpoint: str, chunks: Iterable[bytes], content_type: str = "") -> Gathering:
    """A gathering that has taken these chunks."""
    usual = LINES if endpoint.startswith("/api/") else EVENTS
    gathering = gathering_for(endpoint, content_type or usual, limit_bytes=LIMIT_BYTES)
    for chunk in chunks:
        gathering.feed(chunk)
    return gathering


def lines(*objects: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in objects)


def events(*objects: object, last: bytes = b"") -> bytes:
    """Events without a name; a dict that has a type is named by it."""
    written = b""
    for data in objects:
        if isinstance(data, dict) and "type" in data:
            written += f"event: {data['type']}\n".encode()
        written += b"data: " + json.dumps(data).encode() + b"\n\n"
    return written + last


def in_pieces(body: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The body cut at these places."""
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return (body[a:b] for a, b in itertools.pairwise(places))


# A clock and a die decide these; all else must be equal to the byte. Ids of one answer are
# numbered, so that what has the same id in one body has it in the other.
_TIMES = re.compile(
    rb'"(created_at|created|completed_at|[a-z_]+_duration)":("\d{4}-[^"]+Z"|[1-9]\d*)'
)
_IDS = re.compile(rb'"((?:chatcmpl|cmpl|msg|resp|rs|fc|call)[-_]\w+)"')


def masked(body: bytes) -> str:
    """The body without what differs from one call to the next."""
    seen: dict[bytes, bytes] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        kind = re.split(rb"[-_]", match[1])[0]
        return seen.setdefault(match[1], b'"<%b %d>"' % (kind, len(seen)))

    return _IDS.sub(numbered, _TIMES.sub(rb'"\1":"<\1>"', body)).decode()
