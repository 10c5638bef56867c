"""Another job with the request of an ended one; the ended one stays as it is."""

from uuid import UUID

from sqlalchemy import Connection, func, insert, literal, select
from sqlalchemy.orm import aliased

from foreman.core.states import END_STATES, JobState, Source
from foreman.store.columns import ORIGIN_COLUMNS
from foreman.store.models import Event, Job, Payload
from foreman.store.moves import durability

_KEPT = (
    "source", "endpoint", "model", "queue", "job_class", "max_attempts", "pinned_target",
    *ORIGIN_COLUMNS, "labels", "keeps_stream",
)  # fmt: skip


def copy_job(connection: Connection, old_id: UUID, new_id: UUID) -> bool:
    """Queue a copy of an asynchronous job that has ended; False when there is nothing to copy.

    Its limits in time are as long as those of the old one, and begin now. It counts as published.
    """
    old, sent = aliased(Job), aliased(Payload)
    row = {getattr(Job, name): getattr(old, name) for name in _KEPT} | {
        Job.id: literal(new_id),
        Job.state: literal(JobState.QUEUED.value),
        Job.retry_of: old.id,
        Job.expires_at: func.now() + (old.expires_at - old.created_at),
        Job.deadline_at: func.now() + (old.deadline_at - old.created_at),
        Job.published_at: func.now(),
        Job.publish_tries: literal(1),
    }
    has_ended = old.state.in_(END_STATES)
    source = (
        select(*row.values())
        .join(sent, sent.job_id == old.id)
        .where(old.id == old_id, old.source == Source.ASYNC, has_ended)
    )
    job = insert(Job).from_select(list(row), source).returning(Job.id, Job.source).cte("job")
    payload = insert(Payload).from_select(
        ["job_id", "query", "headers", "body"],
        select(job.c.id, sent.query, sent.headers, sent.body).join_from(
            job, sent, sent.job_id == old_id
        ),
    )
    event = insert(Event).from_select(
        ["job_id", "seq", "state", "attempt"],
        select(job.c.id, literal(1), literal(JobState.QUEUED.value), literal(0)),
    )
    statement = select(job.c.id, durability(job.c.source)).add_cte(
        payload.cte("payload"), event.cte("event")
    )
    return connection.execute(statement).first() is not None
