"""Jobs: accept, claim, renew, finish, give back, cancel. The only SQL about one job's life.

A claim raises the fence; every later write of that run names its fence, and does nothing once a
newer run exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, and_, exists, func, insert, literal, select, tuple_, update

from foreman.core.frames import Failure, Headers
from foreman.core.states import JobState, Source
from foreman.store.models import Event, Job, Payload, WebProcess
from foreman.store.moves import durability, move


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to accept, with the request that its endpoint will get."""

    id: UUID
    source: Source
    endpoint: str
    model: str
    queue: str
    max_attempts: int
    web_id: UUID | None = None
    wait_s: float | None = None  # start within, or expire
    query: str = ""
    headers: Headers = field(default_factory=list)
    body: bytes = field(default=b"", repr=False)


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


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a run learns when it renews its lease."""

    is_cancelled: bool
    has_listener: bool  # the web process whose client waits is alive


def insert_job(connection: Connection, job: NewJob) -> None:
    """Accept a job: its row, its payload and its first event, in one statement.

    It counts as published: who inserts it hands its id to the publisher, and says so with
    `unpublish` when that failed. Should it die in between, the relay finds the job unclaimed.
    """
    expires_at = func.now() + timedelta(seconds=job.wait_s) if job.wait_s else None
    row = (
        insert(Job)
        .values(
            id=job.id,
            source=job.source,
            endpoint=job.endpoint,
            model=job.model,
            queue=job.queue,
            state=JobState.QUEUED,
            max_attempts=job.max_attempts,
            web_id=job.web_id,
            expires_at=expires_at,
            published_at=func.now(),
            publish_tries=1,
        )
        .returning(Job.id, Job.source)
        .cte("job")
    )
    payload = insert(Payload).values(
        job_id=job.id, query=job.query, headers=job.headers, body=job.body
    )
    event = insert(Event).values(job_id=job.id, seq=1, state=JobState.QUEUED, attempt=0)
    statement = select(durability(row.c.source))
    connection.execute(statement.add_cte(payload.cte("payload"), event.cte("event")))


def claim_job(
    connection: Connection, job_id: UUID, *, worker: str, target: str, lease_s: float
) -> Claim | None:
    """Start a run of a queued job; None when it is not waiting any more.

    The message that named it may be late or doubled: the row decides.
    """
    moved = move(
        JobState.WORKING,
        Job.id == job_id,
        Job.expires_at.is_(None) | (Job.expires_at > func.now()),
        fence=Job.fence + 1,
        attempt=Job.attempt + 1,
        worker=worker,
        target=target,
        working_at=func.now(),
        lease_until=func.now() + timedelta(seconds=lease_s),
    ).cte("claim")
    job = moved.c
    statement = select(
        job.id.label("job_id"),
        job.fence,
        job.attempt,
        job.max_attempts,
        job.endpoint,
        job.model,
        job.web_id,
        Payload.query,
        Payload.headers,
        Payload.body,
        durability(job.source).label("durability"),
    ).join_from(moved, Payload, Payload.job_id == job.id)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        return None
    headers = [(name, value) for name, value in row["headers"]]
    fields = {key: row[key] for key in row if key not in ("durability", "headers")}
    return Claim(**fields, headers=headers)


def renew_runs(
    connection: Connection, runs: Mapping[UUID, int], *, lease_s: float, web_silence_s: float
) -> dict[UUID, Renewal]:
    """Prolong the leases of these runs (job id → fence); a run that is missing was fenced off."""
    listens = (
        exists()
        .where(WebProcess.id == Job.web_id)
        .where(WebProcess.seen_at > func.now() - timedelta(seconds=web_silence_s))
    )
    renewed = (
        update(Job)
        .where(Job.state == JobState.WORKING, _is_run_of(runs))
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
        .returning(Job.id, Job.cancel_requested_at.is_not(None), Job.web_id.is_(None) | listens)
    )
    return {row[0]: Renewal(row[1], row[2]) for row in connection.execute(renewed)}


def _is_run_of(runs: Mapping[UUID, int]):  # type: ignore[no-untyped-def]  # SQLAlchemy has no name for it
    return tuple_(Job.id, Job.fence).in_(list(runs.items()))


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
    moved = move(
        to,
        Job.id == job_id,
        Job.fence == fence,
        Job.state == JobState.WORKING,
        reason=failure.code if failure else None,
        status=status,
        response_bytes=response_bytes,
        error_code=failure.code if failure else None,
        error_message=failure.message if failure else None,
        lease_until=None,
    ).cte("ended")
    statement = select(moved.c.id, durability(moved.c.source))
    return connection.execute(statement).first() is not None


def give_back(connection: Connection, job_id: UUID, fence: int, *, reason: str) -> bool:
    """Queue a working job again, for the relay to publish; False when it is not this run's."""
    statement = move(
        JobState.QUEUED,
        Job.id == job_id,
        Job.fence == fence,
        reason=reason,
        published_at=None,
        lease_until=None,
        queued_at=Job.queued_at,
    )
    return connection.execute(statement).first() is not None


def cancel_job(connection: Connection, job_id: UUID, *, reason: str) -> JobState | None:
    """Cancel a job; returns the state it is in now, None when it is unknown.

    A queued job ends here. A working one is asked to stop: its worker ends it.
    """
    cancelled = move(
        JobState.CANCELLED, Job.id == job_id, Job.state == JobState.QUEUED, reason=reason
    )
    if connection.execute(cancelled).first():
        return JobState.CANCELLED
    asked = (
        update(Job)
        .where(and_(Job.id == job_id, Job.state == JobState.WORKING))
        .values(cancel_requested_at=func.coalesce(Job.cancel_requested_at, func.now()))
        .returning(literal(JobState.WORKING.value))
    )
    state = connection.scalar(asked) or connection.scalar(select(Job.state).where(Job.id == job_id))
    return JobState(state) if state else None


def expire_job(connection: Connection, job_id: UUID) -> bool:
    """End a job that was not started in time; False when it was, or has ended."""
    statement = move(JobState.EXPIRED, Job.id == job_id, reason="waited_too_long")
    return connection.execute(statement).first() is not None


def mark_answering(connection: Connection, job_ids: Sequence[UUID]) -> None:
    """Note that bytes of these jobs have reached their clients: they cannot run again unseen."""
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids), Job.state == JobState.WORKING, Job.answering_at.is_(None))
        .values(answering_at=func.now())
    )
    connection.execute(statement)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job stands, for a client that has heard nothing for long."""

    state: JobState
    error_code: str | None
    error_message: str | None


def read_ending(connection: Connection, job_id: UUID) -> Ending | None:
    """The job's state and error now; None when it is unknown."""
    statement = select(Job.state, Job.error_code, Job.error_message).where(Job.id == job_id)
    row = connection.execute(statement).one_or_none()
    return Ending(JobState(row.state), row.error_code, row.error_message) if row else None
