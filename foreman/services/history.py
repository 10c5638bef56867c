"""Read jobs for their callers."""

from datetime import datetime
from uuid import UUID

from foreman.core.states import END_STATES, JobState, Source
from foreman.refusals import JobUnknown
from foreman.runtime import WebRuntime
from foreman.services.accept import New
from foreman.store import job_rows
from foreman.store.columns import origin_values
from foreman.store.job_rows import EventRow, Filters, JobRow

# Of a job that was accepted just now.
_NOT_YET = (
    "phase", "target", "retry_of", "working_at", "answering_at", "ended_at", "ready_at",
    "cancel_requested_at", "status", "response_bytes", "error_code", "error_message",
    "error_is_permanent", "prompt_tokens", "output_tokens", "load_s", "prompt_eval_s", "eval_s",
)  # fmt: skip


def find(runtime: WebRuntime, job_id: UUID) -> JobRow:
    """One job; JobUnknown when there is none."""
    with runtime.database.statement() as connection:
        job = job_rows.read_job(connection, job_id)
    if job is None:
        raise JobUnknown(f"there is no job {job_id}")
    return job


def page(
    runtime: WebRuntime,
    filters: Filters,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[list[JobRow], bool]:
    """So many jobs, newest first, and whether there are more."""
    with runtime.database.statement() as connection:
        rows = job_rows.list_jobs(connection, filters, before=before, limit=limit + 1)
    return rows[:limit], len(rows) > limit


def events(runtime: WebRuntime, job: JobRow, *, after_seq: int) -> tuple[list[EventRow], bool]:
    """The job's transitions after this one, and whether no other will follow them."""
    with runtime.database.statement() as connection:
        rows = job_rows.read_events(connection, job.id, after_seq=after_seq)
    ends = job.state in END_STATES or any(row.state in END_STATES for row in rows)
    return rows, ends


def row_of(new: New) -> JobRow:
    """The row of a job that was accepted just now, without reading it."""
    job, times = new.job, new.times
    return JobRow(
        **dict.fromkeys(_NOT_YET),
        id=job.id,
        source=Source.ASYNC,
        endpoint=job.endpoint,
        model=job.model,
        queue=job.queue,
        job_class=job.job_class,
        state=JobState.QUEUED,
        fence=0,
        seq=1,
        attempt=0,
        max_attempts=job.max_attempts,
        pinned_target=job.pinned_target,
        **origin_values(job.origin),
        labels=job.labels,
        created_at=times.created_at,
        queued_at=times.created_at,
        expires_at=times.expires_at,
        deadline_at=times.deadline_at,
    )
