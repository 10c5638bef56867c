"""Accept asynchronous jobs, one or five hundred, in one statement: row, payload, event, key.

Large bodies follow in the same transaction.

A key that is taken inserts nothing; who raced for it waits for the winner's commit. What comes back
names the jobs that are new.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    ARRAY,
    Boolean,
    Connection,
    Integer,
    Interval,
    LargeBinary,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.core.frames import Headers
from foreman.core.origin import UNKNOWN, Origin
from foreman.core.queues import JobClass
from foreman.core.states import JobState, Source
from foreman.store.columns import ORIGIN_COLUMNS, origin_values
from foreman.store.fixed import FixedStatement
from foreman.store.hook_models import Hook
from foreman.store.large import Value, atomic, is_large
from foreman.store.models import Event, IdempotencyKey, Job, Payload
from foreman.store.moves import durability
from foreman.store.payloads import write_payloads


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedJob:
    """A job to accept with 202; `ttl_s` is until its start, `deadline_s` until its end."""

    id: UUID
    endpoint: str
    model: str
    queue: str
    job_class: JobClass
    max_attempts: int
    body: Value = field(repr=False)
    headers: Headers
    pinned_target: str | None = None
    origin: Origin = UNKNOWN
    labels: dict[str, Any] = field(default_factory=dict)
    keeps_stream: bool = False
    ttl_s: float | None = None
    deadline_s: float | None = None
    key: str | None = None
    fingerprint: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Times:
    """What the database's clock said when it took a job in."""

    created_at: datetime
    expires_at: datetime | None
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The request that a caller's key came with first, and the job that it made."""

    job_id: UUID
    fingerprint: bytes
    secret: str | None = field(default=None, repr=False)  # the newest of its own hook, sealed


# One array a column, in the names of `AcceptedJob`; two are times of the row's own.
_COLUMNS: dict[str, Any] = {
    "id": Uuid,
    "endpoint": Text,
    "model": Text,
    "queue": Text,
    "job_class": Text,
    "max_attempts": Integer,
    "body": LargeBinary,
    "headers": JSONB,
    "pinned_target": Text,
    **dict.fromkeys(ORIGIN_COLUMNS, Text),
    "labels": JSONB,
    "keeps_stream": Boolean,
    "ttl_s": Interval,
    "deadline_s": Interval,
    "key": Text,
    "fingerprint": LargeBinary,
}
_COPIED = (
    "id", "endpoint", "model", "queue", "job_class", "max_attempts", "pinned_target",
    *ORIGIN_COLUMNS, "labels", "keeps_stream",
)  # fmt: skip


def _insertion() -> Select[Any]:
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()]
    given = func.unnest(*arrays).table_valued(*_COLUMNS).render_derived(name="given")
    # Not now(): the jobs of one statement keep their order.
    new = select(*given.c, func.clock_timestamp().label("at")).cte("new")
    key = upsert(IdempotencyKey).from_select(
        ["key", "fingerprint", "job_id"],
        select(new.c.key, new.c.fingerprint, new.c.id).where(new.c.key.is_not(None)),
    )
    taken = key.on_conflict_do_nothing().returning(IdempotencyKey.job_id).cte("taken")
    is_published = bindparam("is_published", type_=Boolean())
    row = {getattr(Job, name): new.c[name] for name in _COPIED} | {
        Job.source: literal(Source.ASYNC.value),
        Job.state: literal(JobState.QUEUED.value),
        Job.created_at: new.c.at,
        Job.queued_at: new.c.at,
        Job.expires_at: new.c.at + new.c.ttl_s,
        Job.deadline_at: new.c.at + new.c.deadline_s,
        Job.published_at: case((is_published, func.now()), else_=null()),
        Job.publish_tries: case((is_published, 1), else_=0),
    }
    is_new = or_(new.c.key.is_(None), new.c.id.in_(select(taken.c.job_id)))
    job = (
        insert(Job)
        .from_select(list(row), select(*row.values()).where(is_new))
        .returning(Job.id, Job.source, Job.created_at, Job.expires_at, Job.deadline_at)
        .cte("job")
    )
    payload = insert(Payload).from_select(
        ["job_id", "query", "headers", "body"],
        select(job.c.id, literal(""), new.c.headers, new.c.body).where(
            new.c.id == job.c.id, new.c.body.is_not(None)
        ),
    )
    event = insert(Event).from_select(
        ["job_id", "seq", "state", "attempt", "at"],
        select(job.c.id, literal(1), literal(JobState.QUEUED.value), literal(0), job.c.created_at),
    )
    columns = (job.c.id, job.c.created_at, job.c.expires_at, job.c.deadline_at)
    return select(*columns, durability(job.c.source).label("durability")).add_cte(
        payload.cte("payload"), event.cte("event")
    )


def _holding() -> Select[Any]:
    columns = (IdempotencyKey.key, IdempotencyKey.job_id, IdempotencyKey.fingerprint)
    return (
        select(*columns, Hook.secrets[1].label("secret"))
        .outerjoin(Hook, Hook.job_id == IdempotencyKey.job_id)
        .where(IdempotencyKey.key == func.any(bindparam("keys", type_=ARRAY(Text))))
    )


_INSERT, _HOLD = FixedStatement(_insertion()), FixedStatement(_holding())


def insert_jobs(
    connection: Connection, jobs: Sequence[AcceptedJob], *, is_published: bool
) -> dict[UUID, Times]:
    """Accept these jobs; returns the times of those that are new, by their ids.

    One is missing whose key was taken: by another job before, or by one of these. `is_published`:
    the caller hands the ids to its publisher; else the relay owes their messages.
    """
    names = _COLUMNS.keys() - set(ORIGIN_COLUMNS)
    values: dict[str, Any] = {name: [getattr(job, name) for job in jobs] for name in names}
    origins = [origin_values(job.origin) for job in jobs]
    values |= {name: [origin[name] for origin in origins] for name in ORIGIN_COLUMNS}
    values |= {
        "job_class": [job.job_class.value for job in jobs],
        "body": [None if is_large(job.body) else bytes(job.body) for job in jobs],
        "headers": [Jsonb(job.headers) for job in jobs],
        "labels": [Jsonb(job.labels) for job in jobs],
        "ttl_s": [_interval(job.ttl_s) for job in jobs],
        "deadline_s": [_interval(job.deadline_s) for job in jobs],
        "is_published": is_published,
    }
    large = [job for job in jobs if is_large(job.body)]
    with atomic(connection) if large else nullcontext():
        rows = _INSERT.run(connection, values)
        new = {row.id: Times(row.created_at, row.expires_at, row.deadline_at) for row in rows}
        if large:
            write_payloads(
                connection,
                [(job.id, "", job.headers, job.body) for job in large if job.id in new],
            )
    return new


def take_key(connection: Connection, key: str, fingerprint: bytes, job_id: UUID) -> bool:
    """Make a job of this transaction the one of its caller's key; False: another one has it."""
    row = upsert(IdempotencyKey).values(key=key, fingerprint=fingerprint, job_id=job_id)
    taken = row.on_conflict_do_nothing().returning(IdempotencyKey.job_id)
    return connection.scalar(taken) is not None


def holders_of(connection: Connection, keys: Sequence[str]) -> dict[str, KeyHolder]:
    """Who holds these keys."""
    held = _HOLD.run(connection, {"keys": list(keys)})
    return {row.key: KeyHolder(row.job_id, row.fingerprint, row.secret) for row in held}


def _interval(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
