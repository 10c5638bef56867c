"""Runs: a worker claims a job, renews its lease, finishes it or gives it back.

A claim raises the fence; every later write of that run names its fence, and does nothing once a
newer run exists.
"""

from collections.abc import Mapping, Sequence
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
    exists,
    extract,
    func,
    literal,
    null,
    or_,
    tuple_,
    update,
)

from foreman.core.frames import Failure, Headers
from foreman.core.states import END_STATES, JobState, Phase, Source, can_move
from foreman.store.fixed import FixedStatement
from foreman.store.models import Job, Payload, WebProcess
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
    body: bytes = field(repr=False)
    queue: str
    source: Source
    streams: bool
    waited_s: float  # since it was accepted


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a run learns when it renews its lease."""

    is_cancelled: bool
    has_listener: bool  # the web process whose client waits is alive


def web_is_alive(silence: ColumnElement[timedelta]) -> ColumnElement[bool]:
    """A condition on jobs: the web process whose client waits has a fresh heartbeat."""
    seen = WebProcess.seen_at > func.now() - silence
    return exists().where(WebProcess.id == Job.web_id, seen)


def _claiming() -> Select[Any]:
    moved = move(
        JobState.WORKING,
        Job.id == bindparam("job_id"),
        Job.expires_at.is_(None) | (Job.expires_at > func.now()),
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
    payload = (Payload.query, Payload.headers, Payload.body)
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
    row = _CLAIM.run(connection, values).one_or_none()
    if row is None:
        return None
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
        body=row.body,
        source=Source(row.source),
        streams=row.streams,
        waited_s=row.waited_s,
    )


def renew_runs(
    connection: Connection, runs: Mapping[UUID, int], *, lease_s: float, web_silence_s: float
) -> dict[UUID, Renewal]:
    """Prolong the leases of these runs (job id → fence); a run that is missing was fenced off."""
    listens = web_is_alive(literal(timedelta(seconds=web_silence_s)))
    renewed = (
        update(Job)
        .where(Job.state == JobState.WORKING, _is_run_of(runs))
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
        .returning(Job.id, Job.cancel_requested_at.is_not(None), Job.web_id.is_(None) | listens)
    )
    return {row[0]: Renewal(row[1], row[2]) for row in connection.execute(renewed)}


def _is_run_of(runs: Mapping[UUID, int]):  # type: ignore[no-untyped-def]  # SQLAlchemy has no name for it
    return tuple_(Job.id, Job.fence).in_(list(runs.items()))


def _ending(to: JobState) -> Select[Any]:
    moved = move(
        to,
        *_this_run(),
        reason=bindparam("why", type_=Text()),
        values={
            "status": bindparam("status"),
            "response_bytes": bindparam("response_bytes"),
            "error_code": bindparam("error_code"),
            "error_message": bindparam("error_message"),
            "lease_until": null(),
        },
    )
    return moved.read(moved.jobs.c.id, durability(moved.jobs.c.source))


def _this_run() -> tuple[ColumnElement[bool], ...]:
    return (
        # Not the columns' names: SQLAlchemy would also set a column that a parameter is named for.
        Job.id == bindparam("this_job"),
        Job.fence == bindparam("this_fence"),
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
    failure: Failure | None = None,
) -> bool:
    """End a run; False when it is not the newest any more."""
    values = {
        "this_job": job_id,
        "this_fence": fence,
        "status": status,
        "response_bytes": response_bytes,
        "why": failure.code if failure else None,
        "error_code": failure.code if failure else None,
        "error_message": failure.message if failure else None,
    }
    return _FINISH[to].run(connection, values).first() is not None


def give_back(connection: Connection, job_id: UUID, fence: int, *, reason: str) -> bool:
    """Queue a working job again, for the relay to publish.

    False when it is not this run's any more, or when nobody wants it: then it has to end.
    """
    changes = {"published_at": null(), "lease_until": null()}
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
