"""Split the body of a job into its `request`, which stays as it is, and the small rest.

`request` is the body of an Ollama route: it is read as Ollama reads it. The other fields are
foreman's own.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from foreman.core.reading.kinds import RAW, Kind, slot
from foreman.core.reading.scan import NotJson, Unreadable
from foreman.core.reading.walk import Walk
from foreman.core.splice import Splice, spliced
from foreman.errors import BodyTooLarge

REQUEST = "request"
REST_LIMIT_BYTES = 64 * 1024
# An object, or anything else that it is wrongly.
_JOB = Kind('"0tf[{', fields={REQUEST: slot(RAW, REQUEST)}, values=RAW, is_raw=True)


@dataclass(frozen=True, slots=True)
class JobBody:
    """The two parts of a job's body."""

    rest: bytes = field(repr=False)  # with {} for a request that is an object, and 0 for another
    start: int  # of the request in the body
    end: int  # the start, if there is none


def split_job(body: bytes) -> Generator[None, None, JobBody]:
    """Split one job; NotJson for what is no JSON, with its field when that is the request."""
    walk = Walk(body)
    try:
        yield from walk.run(_JOB)
        yield from walk.space()
    except Unreadable as exc:
        is_inside = walk.field == REQUEST and walk.at < len(body)
        raise NotJson(str(exc), field=REQUEST if is_inside else "") from exc
    if walk.at < len(body):
        raise NotJson(f"unexpected data after the JSON value at byte {walk.at}")
    splices = [
        Splice(note.start, note.end, b"{}" if note.first == "{" else b"0") for note in walk.notes
    ]
    size = len(body) - sum(splice.end - splice.start for splice in splices)
    if size > REST_LIMIT_BYTES:
        words = f"the fields other than request have more than {REST_LIMIT_BYTES} bytes"
        raise BodyTooLarge(words)
    last = walk.notes[-1] if walk.notes else None
    start, end = (last.start, last.end) if last else (0, 0)
    return JobBody(spliced(body, splices), start, end)
