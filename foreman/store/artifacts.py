"""The bytes that jobs produced, as they are read: a manifest, and pieces of one artifact.

Only those of a job's newest run are shown, and only once it has ended: what a run that was lost has
left behind is nobody's.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, bindparam, select

from foreman.store.fixed import FixedStatement
from foreman.store.large import range_of
from foreman.store.models import Artifact, Job

RESULT = "response.json"


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """What is known of an artifact besides its bytes; `sha256` in hexadecimal digits."""

    job_id: UUID
    fence: int
    name: str
    content_type: str
    size_bytes: int
    sha256: str


_ROW = (
    Artifact.job_id,
    Artifact.fence,
    Artifact.name,
    Artifact.content_type,
    Artifact.size_bytes,
    Artifact.sha256,
)


def list_artifacts(
    connection: Connection, job_id: UUID, *, name: str | None = None
) -> list[ArtifactRow]:
    """The artifacts of an ended job, or the one of this name."""
    statement = (
        select(*_ROW)
        .join(Job, (Job.id == Artifact.job_id) & (Job.fence == Artifact.fence))
        .where(Artifact.job_id == job_id, Job.ended_at.is_not(None))
        .order_by(Artifact.name)
    )
    if name is not None:
        statement = statement.where(Artifact.name == name)
    return [ArtifactRow(*row) for row in connection.execute(statement)]


_READ = FixedStatement(
    select(range_of(Artifact.body)).where(
        Artifact.job_id == bindparam("of_job"),
        Artifact.fence == bindparam("of_fence"),
        Artifact.name == bindparam("named"),
    )
)


def read_piece(connection: Connection, artifact: ArtifactRow, start: int, length: int) -> bytes:
    """So many bytes from `start`; b"" when the artifact is gone."""
    values = {
        "of_job": artifact.job_id,
        "of_fence": artifact.fence,
        "named": artifact.name,
        "start": start + 1,
        "length": length,
    }
    return _READ.read_value(connection, values) or b""
