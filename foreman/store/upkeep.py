"""Rows for relay, reaper and drain: what waits, what is unpublished, what is stalled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Select,
    and_,
    exists,
    extract,
    func,
    literal,
    or_,
    select,
    update,
)

from foreman.core.queues import JobClass, Wakeup, class_queue
from foreman.core.states import JobState, Source
from foreman.core.waiting import Waiting
from foreman.errors import (
    ClientLeft,
    DeadlinePassed,
    ForemanError,
    JobCancelled,
    TtlPassed,
    WaitedTooLong,
    WorkerLost,
)
from foreman.store.conditions import (
    has_paused,
    is_overdue,
    is_too_late_to_start,
    web_is_alive,
    worker_is_alive,
)
from foreman.store.fixed import FixedStatement
from foreman.store.models import Job
from foreman.store.moves import move

# A message that was sent and not claimed is looked for again after 15 s, 30 s, then every minute.
REPUBLISH_FIRST_S = 15
REPUBLISH_LIMIT_S = 60
BATCH = 500
# Messages that are marked, and then sent, at once.
SLICE = 50


def is_ready() -> ColumnElement[bool]:
    """A condition on jobs: queued, and not in the pause before another attempt."""
    return and_(Job.state == JobState.QUEUED, has_paused())


def _waiting_queues() -> Select[Any]:
    kind = (Job.queue, Job.job_class, Job.pinned_target)
    waited = extract("epoch", func.now() - func.min(Job.queued_at)).cast(Double)
    columns = (*kind, func.min(Job.model).label("model"), waited.label("waited_s"), func.count())
    return select(*columns).where(is_ready()).group_by(*kind)


_WAITING = FixedStatement(_waiting_queues())


def waiting_queues(connection: Connection) -> list[Waiting]:
    """Every Celery queue that has work, by its rows."""
    return [Waiting(row[0], JobClass(row[1]), *row[2:]) for row in _WAITING.run(connection, {})]


def has_waiting(connection: Connection, queue: str) -> bool:
    """Whether any job of a residency waits."""
    return bool(connection.scalar(select(exists().where(is_ready(), Job.queue == queue))))


_WAKEUP = (Job.id, Job.queue, Job.job_class, Job.pinned_target, Job.model, Job.web_id)


def _wakeups(rows: Iterable[Any]) -> list[Wakeup]:
    return [
        Wakeup(
            row.id,
            class_queue(row.queue, JobClass(row.job_class), row.pinned_target),
            row.model,
            row.web_id,
        )
        for row in rows
    ]


def unpublished(connection: Connection) -> list[Wakeup]:
    """Jobs that wait and are owed a message, oldest first; locked until they are marked."""
    statement = (
        select(*_WAKEUP)
        .where(is_ready(), Job.published_at.is_(None))
        .order_by(Job.queued_at)
        .limit(SLICE)
        .with_for_update(skip_locked=True)
    )
    return _wakeups(connection.execute(statement))


def overdue_messages(connection: Connection) -> list[Wakeup]:
    """Queued jobs whose message was sent long ago, oldest first; locked like `unpublished`."""
    tries = func.least(Job.publish_tries - 1, 10)
    patience = func.least(func.power(2, tries) * REPUBLISH_FIRST_S, REPUBLISH_LIMIT_S) * timedelta(
        seconds=1
    )
    statement = (
        select(*_WAKEUP)
        .where(Job.state == JobState.QUEUED, Job.published_at < func.now() - patience)
        .order_by(Job.published_at)
        .limit(SLICE)
        .with_for_update(skip_locked=True)
    )
    return _wakeups(connection.execute(statement))


def mark_published(connection: Connection, job_ids: Sequence[UUID]) -> None:
    """Note that the jobs' messages were sent (or seen to be still there) now."""
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids))
        .values(published_at=func.now(), publish_tries=Job.publish_tries + 1)
    )
    connection.execute(statement)


def unpublish(connection: Connection, job_ids: Sequence[UUID]) -> None:
    """Note that the jobs' messages could not be sent: the relay owes them."""
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids), Job.state == JobState.QUEUED)
        .values(published_at=None)
    )
    connection.execute(statement)


def unmark_published(connection: Connection, job_ids: Sequence[UUID], *, is_owed: bool) -> None:
    """Take the mark of messages back that were not sent after all: owed again, or looked for."""
    since = func.now() - timedelta(seconds=REPUBLISH_LIMIT_S)
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids), Job.state == JobState.QUEUED)
        .values(
            published_at=None if is_owed else since,
            publish_tries=func.greatest(Job.publish_tries - 1, 0),
        )
    )
    connection.execute(statement)


def doubt_messages(connection: Connection, queue: str, *, younger_s: float) -> int:
    """Have the relay look at once for the messages of a residency; returns for how many.

    Not for those that were sent less than `younger_s` ago, which may be on their way. The broker
    has none of them: it is enough that the relay looks for the oldest, and sends what is missing.
    """
    since = func.now() - timedelta(seconds=REPUBLISH_LIMIT_S)
    sent = func.now() - timedelta(seconds=younger_s)
    doubted = (
        select(Job.id)
        .where(is_ready(), Job.queue == queue, Job.published_at.between(since, sent))
        .order_by(Job.queued_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    statement = update(Job).where(Job.id.in_(doubted)).values(published_at=since).returning(Job.id)
    return len(connection.execute(statement).all())


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job that the reaper moved: where to, and who may be waiting for its frames."""

    job_id: UUID
    state: JobState
    fence: int
    web_id: UUID | None
    model: str


def _web_is_gone(web_silence_s: float) -> ColumnElement[bool]:
    silence = literal(timedelta(seconds=web_silence_s))
    return and_(Job.source == Source.SYNC, ~web_is_alive(silence))


def _reap(
    connection: Connection,
    to: JobState,
    *conditions: ColumnElement[bool],
    failure: type[ForemanError],
) -> list[Reaped]:
    chosen = select(Job.id).where(*conditions).limit(BATCH).with_for_update(skip_locked=True)
    asked = (Job.web_id, Job.model)
    if to is JobState.QUEUED:
        changes: dict[str, Any] = {
            "lease_until": None,
            "published_at": None,
            "output_tokens": None,
        }
        moved = move(to, Job.id.in_(chosen), reason=failure.code, returning=asked, values=changes)
    else:
        # A newer fence than any run's: what a lost worker may still send is not believed.
        changes = {"lease_until": None, "fence": Job.fence + 1}
        moved = move(to, Job.id.in_(chosen), failure=failure, returning=asked, values=changes)
    rows = connection.execute(moved.read())
    return [Reaped(row.id, to, row.fence, row.web_id, row.model) for row in rows]


def reap_abandoned(connection: Connection, *, web_silence_s: float) -> list[Reaped]:
    """Cancel jobs whose web process is gone: their clients are, too."""
    gone = _web_is_gone(web_silence_s)
    lease_is_over = Job.lease_until < func.now()
    return _reap(
        connection,
        JobState.CANCELLED,
        gone,
        or_(Job.state == JobState.QUEUED, and_(Job.state == JobState.WORKING, lease_is_over)),
        failure=ClientLeft,
    )


def reap_expired(connection: Connection) -> list[Reaped]:
    """Expire jobs that were not started in time, and those whose deadline found them waiting.

    A job has no way from queued to failed: its deadline expires it there, and fails it at work.
    """
    queued = Job.state == JobState.QUEUED
    late = and_(queued, is_too_late_to_start())
    unheard = _reap(
        connection, JobState.EXPIRED, late, Job.source == Source.SYNC, failure=WaitedTooLong
    )
    unstarted = _reap(connection, JobState.EXPIRED, late, failure=TtlPassed)
    overdue = _reap(connection, JobState.EXPIRED, queued, is_overdue(), failure=DeadlinePassed)
    return unheard + unstarted + overdue


def reap_stalled(connection: Connection, *, grace_s: float = 0) -> list[Reaped]:
    """End or queue again the jobs whose lease ran out.

    Cancelled ones are cancelled, those past their deadline and hopeless ones fail, the rest wait.
    A worker that is alive has `grace_s` more: it could not renew a row that somebody had locked.
    """
    patience = timedelta(seconds=grace_s)
    stalled = and_(
        Job.state == JobState.WORKING,
        Job.lease_until < func.now(),
        or_(Job.lease_until < func.now() - patience, ~worker_is_alive()),
    )
    cancelled = _reap(
        connection,
        JobState.CANCELLED,
        stalled,
        Job.cancel_requested_at.is_not(None),
        failure=JobCancelled,
    )
    overdue = _reap(connection, JobState.FAILED, stalled, is_overdue(), failure=DeadlinePassed)
    # A client that has bytes of the lost run cannot be given those of another.
    hopeless = or_(Job.answering_at.is_not(None), Job.attempt >= Job.max_attempts)
    failed = _reap(connection, JobState.FAILED, stalled, hopeless, failure=WorkerLost)
    queued = _reap(connection, JobState.QUEUED, stalled, failure=WorkerLost)
    return cancelled + overdue + failed + queued
