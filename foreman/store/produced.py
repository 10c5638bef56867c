"""What a run produced, written in the transaction that ends its job.

So artifacts exist only of runs that were believed: one that was fenced off leaves none. They are
written first, which may take long, and the job's row is locked last, for a moment.
"""

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, select

from foreman.core.states import JobState
from foreman.store.large import copy_rows, time_to_write
from foreman.store.models import Job

_COLUMNS = ("job_id", "fence", "name", "content_type", "size_bytes", "sha256", "body")
_UNKNOWN = "application/octet-stream"
# What a header can carry and a text column can hold; a target says what it likes.
_HEADER_TEXT = re.compile(r"[\x20-\x7e]{0,300}")


@dataclass(frozen=True, slots=True)
class Produced:
    """One artifact."""

    name: str
    content_type: str
    body: bytes = field(repr=False)


def keep_artifacts(
    connection: Connection, job_id: UUID, fence: int, artifacts: Sequence[Produced]
) -> bool:
    """Store the artifacts of a run that is about to end; False when it is not the newest any more.

    The job's row is not locked: whoever cannot end the run after this has to roll back.
    """
    newest = select(Job.id).where(
        Job.id == job_id, Job.fence == fence, Job.state == JobState.WORKING
    )
    if connection.scalar(newest) is None:
        return False
    run = (job_id.bytes, struct.pack("!i", fence))
    with time_to_write(connection, sum(len(artifact.body) for artifact in artifacts)):
        copy_rows(connection, "artifacts", _COLUMNS, ((*run, *_row(each)) for each in artifacts))
    return True


def _row(artifact: Produced) -> tuple[bytes, ...]:
    """Its values as COPY takes them, in the order of the columns."""
    return (
        artifact.name.encode(),
        _fit(artifact.content_type).encode(),
        struct.pack("!q", len(artifact.body)),
        hashlib.sha256(artifact.body).hexdigest().encode(),
        artifact.body,
    )


def _fit(content_type: str) -> str:
    return content_type if _HEADER_TEXT.fullmatch(content_type) else _UNKNOWN
