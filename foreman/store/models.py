"""The tables, as SQLAlchemy sees them; `migrations/` makes them.

Every time is the database's `now()`. A job's payload has a table of its own, so that the rows which
are asked for and updated all day stay small.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
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


def _one_of(column: str, values: type[JobState] | type[Source]) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"jobs_{column}_known")


class Job(Base):
    """One request for a model's work."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    endpoint: Mapped[str]  # the Ollama route it calls
    model: Mapped[str]  # canonical name
    queue: Mapped[str]
    state: Mapped[str]
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    seq: Mapped[int] = mapped_column(Integer, server_default=text("1"))  # its newest event
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(Integer)
    web_id: Mapped[UUID | None]  # the web process whose client waits
    worker: Mapped[str | None]
    target: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    working_at: Mapped[datetime | None]
    answering_at: Mapped[datetime | None]  # bytes have reached the client
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # start before this, or not at all
    published_at: Mapped[datetime | None]  # None: the relay owes a message
    publish_tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    cancel_requested_at: Mapped[datetime | None]
    status: Mapped[int | None]  # the target's HTTP status
    response_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]

    __table_args__ = (
        _one_of("state", JobState),
        _one_of("source", Source),
        Index("jobs_waiting", "queue", "queued_at", postgresql_where=text("state = 'queued'")),
        Index("jobs_unpublished", "published_at", postgresql_where=text("state = 'queued'")),
        Index("jobs_leased", "lease_until", postgresql_where=text("state = 'working'")),
        Index("jobs_open_of_web", "web_id", postgresql_where=text("ended_at IS NULL")),
        Index("jobs_newest", text("created_at DESC"), text("id DESC")),
        Index("jobs_of_model", "model", text("created_at DESC")),
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


class Target(Base):
    """One Ollama server and the worker that holds its lease."""

    __tablename__ = "targets"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    slots: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str | None]
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    resident_queue: Mapped[str | None]
    resident_since: Mapped[datetime | None]


class WebProcess(Base):
    """One web process, alive while `seen_at` is fresh."""

    __tablename__ = "web_processes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Swap(Base):
    """One change of what a target serves."""

    __tablename__ = "swaps"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    target: Mapped[str]
    from_queue: Mapped[str | None]
    to_queue: Mapped[str]
    reason: Mapped[str]
    jobs_served: Mapped[int] = mapped_column(Integer)  # in the visit that ended
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("swaps_newest", text("at DESC"), text("id DESC")),)
