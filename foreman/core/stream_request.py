"""Turn the request of a job into one that the target streams.

A worker wants to see the answer grow: silence, progress and a cancel show only in a stream. What
the client wrote of `stream` does not matter; the whole answer is put together by `gather`. Only
the values of `stream` and `stream_options` change, in their places.
"""

from dataclasses import dataclass

from foreman.core.bodies import find_places
from foreman.core.reading import tables
from foreman.core.reading.scan import Unreadable
from foreman.core.reading.walk import Note, Places
from foreman.core.splice import Splice, Spliced, new_member
from foreman.core.steps import finished
from foreman.errors import RequestRefused

_STREAMS = frozenset(
    {
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    }
)
# A stream of these says what it cost only when it is asked to.
_USAGE = b'"include_usage":true'
_ASKED_FOR_USAGE = frozenset({"/v1/chat/completions", "/v1/completions"})


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What is sent to the target."""

    body: Spliced
    streams: bool  # whether the endpoint can; an embedding never does


def stream_request(endpoint: str, body: bytes) -> StreamRequest:
    """Return the body that makes `endpoint` stream; RequestRefused when it cannot be read."""
    if endpoint not in _STREAMS:
        return StreamRequest(Spliced(body), streams=False)
    try:
        places = finished(find_places(body, tables.TABLES[endpoint]))
    except Unreadable as exc:
        raise RequestRefused(f"the request cannot be read: {exc}") from exc
    members: list[bytes] = []  # that the body does not have yet
    splices = _streaming(places, members)
    if endpoint in _ASKED_FOR_USAGE:
        splices += _with_usage(places, members)
    if members:
        splices.append(new_member(places.start, b",".join(members), is_empty=places.is_empty))
    return StreamRequest(Spliced(body, tuple(splices)), streams=True)


def _streaming(places: Places, members: list[bytes]) -> list[Splice]:
    """`true` for the last `stream`: that is the one that counts."""
    found = [note for note in places.notes if note.slot in (tables.STREAM, tables.PLAIN_STREAM)]
    if found:
        return [Splice(found[-1].start, found[-1].end, b"true")]
    members.append(b'"stream":true')
    return []


def _with_usage(places: Places, members: list[bytes]) -> list[Splice]:
    """`true` for the `include_usage` of the last `stream_options`: Go merges all of them."""
    asked: Note | None = None
    last: Note | None = None
    for note in places.notes:
        if note.slot == tables.STREAM_OPTIONS:
            last, asked = note, None
        elif note.slot == tables.INCLUDE_USAGE:
            asked = note
    if asked is not None:
        return [Splice(asked.start, asked.end, b"true")]
    if last is None:
        members.append(b'"stream_options":{%b}' % _USAGE)
        return []
    if last.first == "n":
        return [Splice(last.start, last.end, b"{%b}" % _USAGE)]
    return [new_member(last.start, _USAGE, is_empty=last.is_empty)]
