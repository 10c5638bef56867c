"""Runs: a worker claims a job, finishes it or gives it back; `renewals` are its heartbeat.

A claim raises the fence; every later write of that run names its fence, and does nothing once a
newer run exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Interval,
    Select,
    Text,
    bindparam,
    case,
    extract,
    func,
    literal_column,
    null,
    or_,
    update,
)

from foreman.core.frames import Failure, Headers
from foreman.core.gather.usage import Usage
from foreman.core.states import END_STATES, JobState, Phase, Source, can_move
from foreman.store import columns
from foreman.store.conditions import (
    has_paused,
    is_overdue,
    is_too_late_to_start,
    web_is_alive,
)
from foreman.store.fixed import FixedStatement
from foreman.store.large import LARGE_BYTES
from foreman.store.models import Job, Payload
from foreman.store.moves import durability, move


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One run of a job: what a worker needs to carry it out."""

    job_id: UUID
    fence: int
    attempt: int
    max_attempts: int
    endpoint: str
    model: str
    web_id: UUID | None
    query: str
    headers: Headers
    body: bytes = field(repr=False)  # empty while a large one is not read
    queue: str
    source: Source
    streams: bool
    waited_s: float  # since it was accepted
    keeps_stream: bool = False
    time_left_s: float | None = None  # until its deadline
    unread_bytes: int = 0  # of a large body: `payloads.read_body` reads it


def _claiming() -> Select[Any]:
    moved = move(
        JobState.WORKING,
        Job.id == bindparam("job_id"),
        ~is_too_late_to_start(),
        ~is_overdue(),
        has_paused(),
        Job.cancel_requested_at.is_(None),
        # Nobody would read what a job of a dead web process generates.
        Job.web_id.is_(None) | web_is_alive(bindparam("web_silence", type_=Interval())),
        or_(Job.pinned_target.is_(None), Job.pinned_target == bindparam("on_target")),
        returning=(
            Job.max_attempts,
            Job.endpoint,
            Job.model,
            Job.web_id,
            Job.queue,
            Job.streams,
            Job.keeps_stream,
            extract("epoch", Job.deadline_at - func.now()).cast(Double).label("time_left_s"),
            extract("epoch", func.now() - Job.queued_at).cast(Double).label("waited_s"),
        ),
        values={
            "phase": bindparam("phase"),
            "fence": Job.fence + 1,
            "attempt": Job.attempt + 1,
            "worker": bindparam("worker"),
            "target": bindparam("target"),
            "working_at": func.now(),
            "lease_until": func.now() + bindparam("lease", type_=Interval()),
        },
    )
    size = func.octet_length(Payload.body)  # known without reading it
    payload = (
        Payload.query,
        Payload.headers,
        case((size <= LARGE_BYTES, Payload.body)).label("body"),
        size.label("body_bytes"),
    )
    columns = (moved.jobs, *payload, durability(moved.jobs.c.source).label("durability"))
    return moved.read(*columns).join_from(moved.jobs, Payload, Payload.job_id == moved.jobs.c.id)


_CLAIM = FixedStatement(_claiming())


def claim_job(
    connection: Connection,
    job_id: UUID,
    *,
    worker: str,
    target: str,
    phase: Phase,
    lease_s: float,
    web_silence_s: float,
) -> Claim | None:
    """Start a run of a queued job; None when it is not waiting any more.

    The message that named it may be late or doubled: the row decides.
    """
    values = {
        "job_id": job_id,
        "worker": worker,
        "target": target,
        "on_target": target,
        "phase": phase.value,
        "lease": timedelta(seconds=lease_s),
        "web_silence": timedelta(seconds=web_silence_s),
    }
    rows = _CLAIM.run(connection, values)
    if not rows:
        return None
    row = rows[0]
    return Claim(
        job_id=row.id,
        fence=row.fence,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        endpoint=row.endpoint,
        model=row.model,
        queue=row.queue,
        web_id=row.web_id,
        query=row.query,
        headers=[(name, value) for name, value in row.headers],
        body=row.body or b"",
        unread_bytes=row.body_bytes if row.body is None else 0,
        source=Source(row.source),
        streams=row.streams,
        waited_s=row.waited_s,
        keeps_stream=row.keeps_stream,
        time_left_s=row.time_left_s,
    )


def _ending(to: JobState) -> Select[Any]:
    # Who was told that the job is being cancelled shall not find it failed.
    wanted = [Job.cancel_requested_at.is_(None)] if to is JobState.FAILED else []
    moved = move(
        to,
        *_this_run(),
        *wanted,
        reason=bindparam("why", type_=Text()),
        values={
            "status": bindparam("status"),
            "response_bytes": bindparam("response_bytes"),
            "lease_until": null(),
        }
        | {name: bindparam(name) for name in columns.ERROR + columns.USAGE},
    )
    return moved.read(moved.jobs.c.id, durability(moved.jobs.c.source))


def _this_run() -> tuple[ColumnElement[bool], ...]:
    return (
        # Not the columns' names: SQLAlchemy would also set a column that a parameter is named for.
        Job.id == bindparam("this_job"),
        Job.fence == bindparam("this_fence"),
        # A queued job may be cancelled, but not by a run that gave it back.
        Job.state == literal_column(f"'{JobState.WORKING}'"),
    )


_FINISH = {
    state: FixedStatement(_ending(state))
    for state in END_STATES
    if can_move(JobState.WORKING, state)
}


def finish_run(
    connection: Connection,
    job_id: UUID,
    fence: int,
    to: JobState,
    *,
    status: int | None = None,
    response_bytes: int | None = None,
    usage: Usage | None = None,
    failure: Failure | None = None,
) -> bool:
    """End a run; False when it is not the newest any more, or would fail a job to be cancelled."""
    values = {
        "this_job": job_id,
        "this_fence": fence,
        "status": status,
        "response_bytes": response_bytes,
        "why": failure.code if failure else None,
    }
    values |= columns.error_values(failure) | columns.usage_values(usage or Usage())
    return bool(_FINISH[to].run(connection, values))


def give_back(
    connection: Connection,
    job_id: UUID,
    fence: int,
    *,
    reason: str,
    pause_s: float | None = None,
    failure: Failure | None = None,
    is_counted: bool = True,
) -> bool:
    """Queue a working job again, for the relay to publish after `pause_s`.

    `failure` is told as its newest error; `is_counted`: the run was one of its attempts. False when
    the job is not this run's any more, or when nobody wants it: then it has to end.
    """
    cleared = ("published_at", "lease_until", "ready_at", "output_tokens")
    changes: dict[str, Any] = dict.fromkeys(cleared, null())
    if pause_s is not None:
        changes["ready_at"] = func.now() + timedelta(seconds=pause_s)
    if failure is not None:
        changes |= columns.error_values(failure)
    if not is_counted:
        changes["attempt"] = Job.attempt - 1
    wanted = Job.cancel_requested_at.is_(None)
    moved = move(JobState.QUEUED, *_this_run(), wanted, reason=reason, values=changes)
    values = {"this_job": job_id, "this_fence": fence}
    return connection.execute(moved.read(), values).first() is not None


def mark_generating(connection: Connection, job_id: UUID, fence: int) -> None:
    """Note that the residency of a run is loaded."""
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.fence == fence, Job.state == JobState.WORKING)
        .values(phase=Phase.GENERATING.value)
    )
    connection.execute(statement)


def mark_answering(connection: Connection, job_ids: Sequence[UUID]) -> None:
    """Note that bytes of these jobs have reached their clients: they cannot run again unseen."""
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids), Job.state == JobState.WORKING, Job.answering_at.is_(None))
        .values(answering_at=func.now())
    )
    connection.execute(statement)
