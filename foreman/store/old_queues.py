"""Celery queues whose jobs were removed: which of them nobody uses any more.

A job that is removed leaves a note of its queue, in the same statement: whatever happens then, the
queue is looked at until the broker has removed it. A note costs nothing while its residency has
work: only the idle ones are read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    SQLColumnExpression,
    and_,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.core.queues import JobClass, class_queue
from foreman.core.states import JobState
from foreman.store.models import Job, OldQueue, Resident

BATCH = 100


@dataclass(frozen=True, slots=True)
class IdleResidency:
    """A residency that nobody uses, with the Celery queues that the broker may have of it."""

    queue: str
    notes: tuple[tuple[str, str], ...]  # class, and the one target or ""
    noted_at: datetime  # the newest of them

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the notes, and both classes: an idle worker listens to both, and makes them."""
        both = [class_queue(self.queue, each) for each in JobClass]
        noted = [
            class_queue(self.queue, JobClass(each), pinned or None) for each, pinned in self.notes
        ]
        return tuple(dict.fromkeys([*both, *noted]))


def days_ago(days: float) -> ColumnElement[datetime]:
    return func.now() - timedelta(days=days)


def is_idle(queue: SQLColumnExpression[str], *, older_than_days: float) -> ColumnElement[bool]:
    """A condition on a residency: no job waits or runs, none has succeeded for so long, and no
    target has it loaded.

    Each part has an index that leads to it.
    """
    is_open = exists().where(Job.queue == queue, Job.state == JobState.QUEUED)
    is_at_work = exists().where(Job.queue == queue, Job.state == JobState.WORKING)
    is_recent = exists().where(
        Job.queue == queue, Job.status == 200, Job.ended_at >= days_ago(older_than_days)
    )
    is_loaded = exists().where(Resident.queue == queue)
    return and_(~is_open, ~is_at_work, ~is_recent, ~is_loaded)


def noting(removed: CTE) -> CTE:
    """The part of a statement that notes the queues of the jobs in `removed`."""
    given = removed.c
    # In one order for everybody: two processes that note the same queues must not wait in a ring.
    pinned = func.coalesce(given.pinned_target, literal_column("''")).label("pinned_target")
    queues = (
        select(given.queue, given.job_class, pinned)
        .distinct()
        .order_by(given.queue, given.job_class, pinned)
    )
    noted = upsert(OldQueue).from_select(["queue", "job_class", "pinned_target"], queues)
    # Noted anew, so that a note that is read now is not forgotten with what it did not see.
    again = noted.on_conflict_do_update(
        index_elements=[OldQueue.queue, OldQueue.job_class, OldQueue.pinned_target],
        set_={"noted_at": func.now()},
    )
    return again.cte("noted")


def idle_residencies(
    connection: Connection, *, older_than_days: float, limit: int = BATCH
) -> list[IdleResidency]:
    """Residencies that nobody uses, the longest noted first."""
    kinds = func.jsonb_agg(func.jsonb_build_array(OldQueue.job_class, OldQueue.pinned_target))
    newest = func.max(OldQueue.noted_at)
    statement = (
        select(OldQueue.queue, kinds, newest)
        .where(is_idle(OldQueue.queue, older_than_days=older_than_days))
        .group_by(OldQueue.queue)
        .order_by(newest)
        .limit(limit)
    )
    return [
        IdleResidency(queue, tuple((each, pinned) for each, pinned in notes), noted_at)
        for queue, notes, noted_at in connection.execute(statement)
    ]


def is_still_idle(
    connection: Connection, residency: IdleResidency, *, older_than_days: float
) -> bool:
    """Whether the residency is as it was read: on what comes later see `unpublish_queued`."""
    queue = literal(residency.queue)
    return bool(connection.scalar(select(is_idle(queue, older_than_days=older_than_days))))


def forget(connection: Connection, residency: IdleResidency) -> None:
    """The broker has removed its queues; what was noted meanwhile stays."""
    connection.execute(delete(OldQueue).where(*_seen(residency)))


def put_off(connection: Connection, residency: IdleResidency) -> None:
    """The broker keeps a queue of it: the others are looked at first."""
    connection.execute(update(OldQueue).where(*_seen(residency)).values(noted_at=func.now()))


def _seen(residency: IdleResidency) -> tuple[ColumnElement[bool], ...]:
    kind = tuple_(OldQueue.job_class, OldQueue.pinned_target)
    return (
        OldQueue.queue == residency.queue,
        kind.in_(residency.notes),
        OldQueue.noted_at <= residency.noted_at,
    )


def unpublish_queued(connection: Connection, queue: str) -> int:
    """Let the relay send the messages of a residency's waiting jobs anew; returns how many.

    For jobs that came while its queues were being removed: their messages may have gone with them.
    """
    waiting = update(Job).where(Job.queue == queue, Job.state == JobState.QUEUED)
    return connection.execute(waiting.values(published_at=None)).rowcount


def is_open(connection: Connection, job_id: UUID) -> bool:
    """Whether there is this job, and it has not ended."""
    is_there = exists().where(Job.id == job_id, Job.ended_at.is_(None))
    return bool(connection.scalar(select(is_there)))
