"""Values for tests: each is right as it stands, and a test changes only what it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from foreman.core.frames import Failure, Frame, FrameKind
from foreman.core.queues import JobClass
from foreman.core.states import Source
from foreman.ids import new_id
from foreman.store.accept import AcceptedJob
from foreman.store.jobs import NewJob

JOB_ID = UUID("01890000-0000-7000-8000-000000000001")


def new_job(**changes: Any) -> NewJob:
    """A chat accepted with 202: nobody waits on a connection for it."""
    job = NewJob(
        id=new_id(),
        source=Source.ASYNC,
        endpoint="/api/chat",
        model="m:latest",
        queue="model.m%3Alatest",
        max_attempts=3,
        headers=[("Content-Type", "application/json")],
        body=b'{"model":"m"}',
    )
    return replace(job, **changes)


def accepted_job(**changes: Any) -> AcceptedJob:
    """A batch job, as `POST /jobs` hands it to the store."""
    job = AcceptedJob(
        id=new_id(),
        endpoint="/api/chat",
        model="m:latest",
        queue="model.m%3Alatest",
        job_class=JobClass.BATCH,
        max_attempts=3,
        body=b'{"model":"m"}',
        headers=[("Content-Type", "application/json")],
    )
    return replace(job, **changes)


def frame(**changes: Any) -> Frame:
    """The first frame of a job's first run."""
    return replace(Frame(JOB_ID, fence=1, seq=0, kind=FrameKind.DATA, payload=b"x"), **changes)


def failure(message: str = "boom", *, status: int = 500, code: str = "internal_error") -> Failure:
    return Failure(status, code, message)


def environ(**changes: str) -> dict[str, str]:
    """The least environment that foreman starts with."""
    return {
        "DATABASE_URL": "postgres://user:secret@db:5432/foreman",
        "FOREMAN_BROKER_URL": "redis://broker:6379/0",
    } | changes


class NoDatabase:
    """A database for code whose statements are stood in for."""

    @contextmanager
    def statement(self) -> Iterator[None]:
        yield None

    transaction = statement
