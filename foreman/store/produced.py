"""What a run produced, written in the transaction that ends its job.

So artifacts exist only of runs that were believed: one that was fenced off leaves none.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, insert, select

from foreman.core.states import JobState
from foreman.store.models import Artifact, Job

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

    The row stays locked until the transaction ends: nobody else ends the job in between.
    """
    newest = (
        select(Job.id)
        .where(Job.id == job_id, Job.fence == fence, Job.state == JobState.WORKING)
        .with_for_update(key_share=True)
    )
    if connection.scalar(newest) is None:
        return False
    for artifact in artifacts:
        row = insert(Artifact).values(
            job_id=job_id,
            fence=fence,
            name=artifact.name,
            content_type=_fit(artifact.content_type),
            size_bytes=len(artifact.body),
            sha256=hashlib.sha256(artifact.body).hexdigest(),
            body=artifact.body,
        )
        connection.execute(row)
    return True


def _fit(content_type: str) -> str:
    return content_type if _HEADER_TEXT.fullmatch(content_type) else _UNKNOWN
