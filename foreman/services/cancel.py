"""Cancel a job: its row at once, and a word to the worker that may be running it."""

import logging
from collections.abc import Callable
from uuid import UUID

from foreman.core.states import JobState
from foreman.errors import DatabaseUnavailable
from foreman.refusals import AlreadyEnded, JobUnknown
from foreman.runtime import WebRuntime
from foreman.store import jobs
from foreman.store.db import Database

log = logging.getLogger(__name__)


def cancel(runtime: WebRuntime, job_id: UUID) -> None:
    """Stop a job whose client left: queued, it never runs; working, its target is hung up on."""
    try:
        with runtime.database.transaction() as connection:
            state = jobs.cancel_job(connection, job_id, reason="client_left")
    except DatabaseUnavailable as error:
        log.warning("cancellation not recorded", extra={"job_id": str(job_id), "error": str(error)})
        state = JobState.WORKING
    if state is JobState.WORKING:
        runtime.publisher.cancel(job_id)


def cancel_asked(database: Database, job_id: UUID, tell_workers: Callable[[UUID], None]) -> None:
    """Cancel a job for somebody who asks for it; to ask again does no harm.

    `tell_workers` reaches the one that runs it sooner than its row does.
    """
    with database.transaction() as connection:
        state = jobs.cancel_job(connection, job_id, reason="asked")
    if state is None:
        raise JobUnknown(f"there is no job {job_id}")
    if state is JobState.WORKING:
        tell_workers(job_id)
    elif state is not JobState.CANCELLED:
        raise AlreadyEnded(f"the job is {state} and stays so")
