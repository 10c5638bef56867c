"""Jobs as their callers see them: one, many by filters, their transitions, their place in line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from foreman.core.queues import JobClass
from foreman.core.states import JobState, Source
from foreman.store.models import Event, Job

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job's row without what only processes need; its times are aware."""

    id: UUID
    source: str
    endpoint: str
    model: str
    queue: str
    job_class: str
    state: str
    phase: str | None
    fence: int
    seq: int
    attempt: int
    max_attempts: int
    target: str | None
    pinned_target: str | None
    client: str | None
    client_address: str | None
    request_id: str | None
    traceparent: str | None
    labels: dict[str, Any]
    retry_of: UUID | None
    created_at: datetime
    queued_at: datetime
    working_at: datetime | None
    answering_at: datetime | None
    ended_at: datetime | None
    ready_at: datetime | None
    expires_at: datetime | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    status: int | None
    response_bytes: int | None
    error_code: str | None
    error_message: str | None
    error_is_permanent: bool | None
    prompt_tokens: int | None
    output_tokens: int | None
    load_s: float | None
    prompt_eval_s: float | None
    eval_s: float | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One transition of a job."""

    seq: int
    state: str
    attempt: int
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """As much of a job as who waits for it must know."""

    seq: int
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs to list; what is None or empty does not filter."""

    state: JobState | None = None
    source: Source | None = None
    model: str | None = None
    client: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    # For each label the values that it may have: "5" as it was written, and 5 as it may be meant.
    labels: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)


_ROW = tuple(getattr(Job, name) for name in JobRow.__dataclass_fields__)


def _row(row: Any) -> JobRow:
    return JobRow(**dict(zip(JobRow.__dataclass_fields__, row, strict=True)))


def read_job(connection: Connection, job_id: UUID) -> JobRow | None:
    """One job; None when it is unknown."""
    row = connection.execute(select(*_ROW).where(Job.id == job_id)).one_or_none()
    return None if row is None else _row(row)


def list_jobs(
    connection: Connection,
    filters: Filters,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobRow]:
    """The newest jobs first; `before` is the time and id of the last one of the page before."""
    statement = select(*_ROW).where(*_conditions(filters))
    if before is not None:
        statement = statement.where(tuple_(Job.created_at, Job.id) < before)
    rows = connection.execute(statement.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit))
    return [_row(row) for row in rows]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    equal = {
        Job.state: filters.state,
        Job.source: filters.source,
        Job.model: filters.model,
        Job.client: filters.client,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if filters.created_after is not None:
        conditions.append(Job.created_at > filters.created_after)
    if filters.created_before is not None:
        conditions.append(Job.created_at < filters.created_before)
    if filters.labels:
        # In these words, for the index that has only jobs with labels.
        conditions.append(Job.labels != literal_column("'{}'::jsonb", JSONB))
    for name, values in filters.labels.items():
        conditions.append(or_(*(Job.labels.contains({name: value}) for value in values)))
    return conditions


def read_events(connection: Connection, job_id: UUID, *, after_seq: int) -> list[EventRow]:
    """The job's transitions after this one, oldest first."""
    statement = (
        select(Event.seq, Event.state, Event.attempt, Event.reason, Event.at)
        .where(Event.job_id == job_id, Event.seq > after_seq)
        .order_by(Event.seq)
    )
    return [EventRow(*row) for row in connection.execute(statement)]


_STANDING = select(Job.id, Job.seq, Job.state).where(
    Job.id == any_(bindparam("ids", type_=ARRAY(Job.id.type)))
)


def read_standings(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """Where these jobs stand, in one statement; an unknown one is missing."""
    rows = connection.execute(_STANDING, {"ids": list(job_ids)})
    return {row.id: Standing(row.seq, JobState(row.state)) for row in rows}


def count_ahead(connection: Connection, job: JobRow) -> int:
    """Queued jobs of the same residency that are taken before this one.

    Those of its class that came before; before a batch job, all interactive ones, too.
    """
    came_before = tuple_(Job.queued_at, Job.id) < (job.queued_at, job.id)
    ahead = and_(Job.job_class == job.job_class, came_before)
    if job.job_class == JobClass.BATCH:
        ahead = or_(ahead, Job.job_class == JobClass.INTERACTIVE)
    waiting = (Job.state == literal_column(f"'{JobState.QUEUED}'"), Job.queue == job.queue)
    return connection.scalar(select(func.count()).select_from(Job).where(*waiting, ahead)) or 0
