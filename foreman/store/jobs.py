"""Jobs: accept, claim, renew, finish, give back, cancel. The only SQL about one job's life.

A claim raises the fence; every later write of that run names its fence, and does nothing once a
newer run exists.
"""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    Connection,
    Interval,
    Select,
    bindparam,
    func,
    insert,
    select,
    update,
)

from foreman.core.frames import Headers
from foreman.core.origin import UNKNOWN, Origin
from foreman.core.queues import JobClass
from foreman.core.states import END_STATES, JobState, Source
from foreman.errors import NoLiveTarget, WaitedTooLong
from foreman.store.columns import ORIGIN_COLUMNS, origin_values
from foreman.store.fixed import FixedStatement
from foreman.store.large import Value, atomic, is_large
from foreman.store.models import Event, Job, Payload, WebProcess
from foreman.store.moves import durability, move
from foreman.store.payloads import write_payloads

# A job can move between a cancel's statements, but not for ever.
CANCEL_TRIES = 10
# A web process that was heard of less long ago is not written down again by each of its jobs.
BEAT_AGE = timedelta(seconds=1)


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
    job_class: JobClass = JobClass.INTERACTIVE
    pinned_target: str | None = None
    streams: bool = True  # bytes come as they are made: silence means that something is wrong
    origin: Origin = UNKNOWN
    query: str = ""
    headers: Headers = field(default_factory=list)
    body: Value = field(default=b"", repr=False)


def _insertion(*, has_payload: bool) -> Select[Any]:
    names = (
        "id",
        "source",
        "endpoint",
        "model",
        "queue",
        "job_class",
        "pinned_target",
        "streams",
        "max_attempts",
        "web_id",
        *ORIGIN_COLUMNS,
    )
    wait = bindparam("wait", type_=Interval())
    row = insert(Job).values(
        {name: bindparam(name) for name in names}
        | {
            "state": JobState.QUEUED.value,
            "expires_at": func.now() + wait,
            "published_at": func.now(),
            "publish_tries": 1,
        }
    )
    row_cte = row.returning(Job.id, Job.source).cte("job")
    event = insert(Event).values(
        job_id=bindparam("id"), seq=1, state=JobState.QUEUED.value, attempt=0
    )
    statement = select(durability(row_cte.c.source)).add_cte(event.cte("event"))
    if not has_payload:
        return statement
    # A beat: who accepts a job is alive, and may have been unable to say so for long. Not with a
    # large payload, whose transaction would keep the row from the next beat.
    beat = (
        update(WebProcess)
        .where(WebProcess.id == bindparam("web_id"), WebProcess.seen_at < func.now() - BEAT_AGE)
        .values(seen_at=func.now())
    )
    payload = insert(Payload).values(
        {name: bindparam(name) for name in _OF_PAYLOAD} | {"job_id": bindparam("id")}
    )
    return statement.add_cte(payload.cte("payload"), beat.cte("beat"))


_OF_PAYLOAD = ("query", "headers", "body")
_INSERT = FixedStatement(_insertion(has_payload=True))
_INSERT_WITHOUT = FixedStatement(_insertion(has_payload=False))


def insert_job(connection: Connection, job: NewJob) -> None:
    """Accept a job: its row, its payload and its first event, in one statement or transaction.

    It counts as published: who inserts it hands its id to the publisher, and says so with
    `unpublish` when that failed. Should it die in between, the relay finds the job unclaimed.
    """
    values = {each.name: getattr(job, each.name) for each in fields(job)}
    del values["wait_s"], values["origin"]
    values |= origin_values(job.origin) | {
        "source": job.source.value,
        "job_class": job.job_class.value,
        "wait": None if job.wait_s is None else timedelta(seconds=job.wait_s),
        "headers": Jsonb(job.headers),
    }
    if not is_large(job.body):
        _INSERT.run(connection, values | {"body": bytes(job.body)})
        return
    for name in _OF_PAYLOAD:
        del values[name]
    with atomic(connection):
        _INSERT_WITHOUT.run(connection, values)
        write_payloads(connection, [(job.id, job.query, job.headers, job.body)])


def cancel_job(connection: Connection, job_id: UUID, *, reason: str) -> JobState | None:
    """Cancel a job; returns the state it is in now, None when it is unknown.

    A queued job ends here. A working one is asked to stop: its worker ends it.
    """
    for _ in range(CANCEL_TRIES):
        cancelled = move(
            JobState.CANCELLED, Job.id == job_id, Job.state == JobState.QUEUED, reason=reason
        )
        if connection.execute(cancelled.read()).first():
            return JobState.CANCELLED
        asked = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.WORKING)
            .values(cancel_requested_at=func.coalesce(Job.cancel_requested_at, func.now()))
            .returning(Job.id)
        )
        if connection.execute(asked).first():
            return JobState.WORKING
        state = connection.scalar(select(Job.state).where(Job.id == job_id))
        # Not ended, and neither statement met it: it was claimed or given back in between.
        if state is None or JobState(state) in END_STATES:
            break
    return JobState(state) if state else None


def expire_job(connection: Connection, job_id: UUID) -> bool:
    """End a job that was not started in time; False when it was, has ended, or still has time."""
    is_late = Job.expires_at <= func.now()
    moved = move(JobState.EXPIRED, Job.id == job_id, is_late, failure=WaitedTooLong)
    return connection.execute(moved.read()).first() is not None


def give_up_job(connection: Connection, job_id: UUID) -> bool:
    """End a waiting job that no target will run in time; False when it was started or has ended."""
    waits = Job.state == JobState.QUEUED
    moved = move(JobState.EXPIRED, Job.id == job_id, waits, failure=NoLiveTarget)
    return connection.execute(moved.read()).first() is not None


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
