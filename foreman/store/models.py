"""The tables, as SQLAlchemy sees them; `migrations/` makes them.

Every time is the database's `now()`. A payload has a table of its own: rows of jobs stay small.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from foreman.core.queues import JobClass
from foreman.core.states import JobState, Source


class Base(DeclarativeBase):
    """Python types to column types, and names that Alembic can find again."""

    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own declaration, read once
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        str: Text,
        bytes: LargeBinary,
        UUID: Uuid,
    }


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"jobs_{column}_known")


class Job(Base):
    """One request for a model's work."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    endpoint: Mapped[str]  # the Ollama route it calls
    model: Mapped[str]  # canonical name
    queue: Mapped[str]  # the model queue of its residency; its class adds the rest of the name
    job_class: Mapped[str] = mapped_column(server_default=text("'interactive'"))
    state: Mapped[str]
    phase: Mapped[str | None]  # of a working job: loading, then generating
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    seq: Mapped[int] = mapped_column(Integer, server_default=text("1"))  # its newest event
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(Integer)
    web_id: Mapped[UUID | None]  # the web process whose client waits
    worker: Mapped[str | None]
    target: Mapped[str | None]
    pinned_target: Mapped[str | None]  # no other may run it
    client: Mapped[str | None]
    client_address: Mapped[str | None]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    retry_of: Mapped[UUID | None]
    streams: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    keeps_stream: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    working_at: Mapped[datetime | None]
    answering_at: Mapped[datetime | None]  # bytes have reached the client
    ended_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]  # not before this: the pause before another attempt
    expires_at: Mapped[datetime | None]  # start before this, or not at all
    deadline_at: Mapped[datetime | None]  # end before this, or fail
    published_at: Mapped[datetime | None]  # None: the relay owes a message
    publish_tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    cancel_requested_at: Mapped[datetime | None]
    status: Mapped[int | None]  # the target's HTTP status
    response_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_is_permanent: Mapped[bool | None]
    prompt_tokens: Mapped[int | None] = mapped_column(Integer)
    output_tokens: Mapped[int | None] = mapped_column(Integer)
    load_s: Mapped[float | None] = mapped_column(Double)
    prompt_eval_s: Mapped[float | None] = mapped_column(Double)
    eval_s: Mapped[float | None] = mapped_column(Double)

    __table_args__ = (
        _one_of("state", JobState),
        _one_of("source", Source),
        _one_of("job_class", JobClass),
        Index("jobs_waiting", "queue", "queued_at", postgresql_where=text("state = 'queued'")),
        Index("jobs_unpublished", "published_at", postgresql_where=text("state = 'queued'")),
        Index("jobs_leased", "lease_until", postgresql_where=text("state = 'working'")),
        Index("jobs_open_of_web", "web_id", postgresql_where=text("ended_at IS NULL")),
        Index("jobs_newest", text("created_at DESC"), text("id DESC")),
        Index("jobs_of_model", "model", text("created_at DESC")),
        Index(
            "jobs_unsuccessful",
            "state",
            text("created_at DESC"),
            postgresql_where=text("state IN ('failed', 'cancelled', 'expired')"),
        ),
        Index("jobs_ended_of_queue", "queue", "ended_at", postgresql_where=text("status = 200")),
        Index("jobs_deadline", "deadline_at", postgresql_where=text("ended_at IS NULL")),
        Index(
            *("jobs_of_client", "client", text("created_at DESC")),
            postgresql_where=text("client IS NOT NULL"),
        ),
        Index(
            "jobs_labels",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
            postgresql_where=text("metadata <> '{}'::jsonb"),
        ),
    )


class Payload(Base):
    """The request of a job, as bytes."""

    __tablename__ = "payloads"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    query: Mapped[str]  # the URL's query string, undecoded
    headers: Mapped[list[Any]]  # pairs, in the client's order
    body: Mapped[bytes]


class Event(Base):
    """One transition of a job; `seq` counts from 1 without gaps."""

    __tablename__ = "events"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Artifact(Base):
    """Bytes that one run of a job produced; those of an older run than the job's are not shown."""

    __tablename__ = "artifacts"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    fence: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    content_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """A caller's key and the job that it made; the same key never makes another."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]  # SHA-256 of the request that it came with
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("idempotency_keys_of_job", "job_id"),)


class Target(Base):
    """One Ollama server and the worker that holds its lease."""

    __tablename__ = "targets"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    slots: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str | None]
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    # Three of the version before 0006, whose processes may still run; nothing uses them here.
    resident_queue: Mapped[str | None]
    resident_since: Mapped[datetime | None]
    loading_queue: Mapped[str | None]
    sick_since: Mapped[datetime | None]  # it answers lists, and no work
    sick_reason: Mapped[str | None]
    reason: Mapped[str | None]  # of its newest load, in words
    room: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # what was learned


class Resident(Base):
    """A residency that a target has loaded, or is loading."""

    __tablename__ = "residents"

    target: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str | None]  # None: it is loading, and its queue does not name it
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    is_pinned: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    since: Mapped[datetime] = mapped_column(server_default=func.now())
    is_loading: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class ResidencyCost(Base):
    """What one residency has cost on one target: its swaps, its last visit."""

    __tablename__ = "residency_costs"

    target: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    swap_s: Mapped[float | None] = mapped_column(Double)  # smoothed; None: never measured
    swaps: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    served_until: Mapped[datetime | None]  # the end of its last visit


class OldQueue(Base):
    """A Celery queue that removed jobs had: the broker may have it still."""

    __tablename__ = "old_queues"

    queue: Mapped[str] = mapped_column(primary_key=True)  # the three make its name
    job_class: Mapped[str] = mapped_column(primary_key=True)
    pinned_target: Mapped[str] = mapped_column(primary_key=True)  # "" for none
    noted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class KeptModel(Base):
    """A small model (an embedding model) that stays loaded beside the resident one."""

    __tablename__ = "kept_models"

    target: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    evictions: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class WebProcess(Base):
    """One web process, alive while `seen_at` is fresh."""

    __tablename__ = "web_processes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    frame_key: Mapped[bytes | None]  # what is sent to it is signed with this
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Swap(Base):
    """One load on a target, and the visits that it ended."""

    __tablename__ = "swaps"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    target: Mapped[str]
    to_queue: Mapped[str]
    unloaded: Mapped[list[Any] | None]  # queues; None: see `from_queue`
    reason: Mapped[str]
    jobs_served: Mapped[int] = mapped_column(Integer)  # in the visits that ended
    cost_s: Mapped[float | None] = mapped_column(Double)  # unload and load; None: it failed
    head_wait_s: Mapped[float | None] = mapped_column(Double)  # of the job that it was made for
    # Of the visits that ended: lingers, how many of these a job ended, seconds that brought none.
    lingers: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lingers_answered: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    linger_wasted_s: Mapped[float] = mapped_column(Double, server_default=text("0"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Of the version before 0006, whose workers may still write them.
    from_queue: Mapped[str | None]
    fifo_swaps: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    saved_s: Mapped[float] = mapped_column(Double, server_default=text("0"))

    __table_args__ = (Index("swaps_newest", text("at DESC"), text("id DESC")),)
