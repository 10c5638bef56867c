"""What jobs have produced, for those who ask: the result, the artifacts, their bytes in pieces."""

from collections.abc import Iterator
from uuid import UUID

from foreman.core.states import END_STATES, JobState, Source
from foreman.errors import DatabaseUnavailable
from foreman.refusals import ArtifactUnknown, NoResult, NotEnded, NotSucceeded
from foreman.runtime import WebRuntime
from foreman.store.artifacts import RESULT, ArtifactRow, list_artifacts, read_piece
from foreman.store.job_rows import JobRow

PIECE_BYTES = 2 * 1024 * 1024


def artifacts(runtime: WebRuntime, job_id: UUID) -> list[ArtifactRow]:
    """What the job's newest run has produced; nothing until the job has ended."""
    with runtime.database.statement() as connection:
        return list_artifacts(connection, job_id)


def artifact(runtime: WebRuntime, job_id: UUID, name: str) -> ArtifactRow:
    """One of them; ArtifactUnknown when there is none of this name."""
    found = _find(runtime, job_id, name)
    if found is None:
        raise ArtifactUnknown(f"the job has no artifact {name[:100]!r}")
    return found


def result(runtime: WebRuntime, job: JobRow) -> ArtifactRow:
    """The job's result; an error says why there is none."""
    if job.state not in END_STATES:
        raise NotEnded(f"the job is {job.state}")
    if job.state != JobState.SUCCEEDED:
        words = f"{job.error_code}: {job.error_message}" if job.error_code else "no error was told"
        raise NotSucceeded(f"the job is {job.state} ({words})")
    found = _find(runtime, job.id, RESULT)
    if found is None and job.source == Source.SYNC:
        raise NoResult("the job was synchronous: its answer went to its caller and was not kept")
    if found is None:
        raise NoResult("the result of the job was removed")
    return found


def pieces(runtime: WebRuntime, artifact: ArtifactRow, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to before `stop`; DatabaseUnavailable when they cannot be read on."""
    for at in range(start, stop, PIECE_BYTES):
        with runtime.database.statement() as connection:
            piece = read_piece(connection, artifact, at, min(PIECE_BYTES, stop - at))
        if not piece:
            # Its length is promised: the connection has to be closed short of it.
            raise DatabaseUnavailable("the artifact was removed while it was read")
        yield piece


def _find(runtime: WebRuntime, job_id: UUID, name: str) -> ArtifactRow | None:
    with runtime.database.statement() as connection:
        return next(iter(list_artifacts(connection, job_id, name=name)), None)
