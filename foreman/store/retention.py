"""Rows that are too old: each verb removes up to `limit` and says how many, none when all are gone.

What another process removes at the same time is passed over.
"""

from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, func, or_, select, tuple_

from foreman.core.states import DeliveryState, Source
from foreman.store.hook_models import Delivery
from foreman.store.models import Job, Payload, ResidencyCost, Swap
from foreman.store.old_queues import days_ago, is_idle, noting

BATCH = 500


def remove_jobs(connection: Connection, *, older_than_days: float, limit: int = BATCH) -> int:
    """Remove jobs that ended so long ago, with their payloads, events, artifacts, keys, deliveries.

    A job whose receiver is still owed something stays until that is sent or given up.
    """
    is_old = Job.ended_at < days_ago(older_than_days)
    # An ended job was made before: so the index by age leads to the oldest.
    made = Job.created_at < days_ago(older_than_days)
    owes = exists().where(Delivery.job_id == Job.id, Delivery.state == DeliveryState.PENDING)
    old = select(Job.id).where(made, is_old, ~owes).order_by(Job.created_at, Job.id)
    where = (Job.queue, Job.job_class, Job.pinned_target)
    removed = delete(Job).where(Job.id.in_(_some(old, limit))).returning(*where).cte("removed")
    count = select(func.count()).select_from(removed).add_cte(noting(removed))
    return int(connection.scalar(count) or 0)


def remove_sync_payloads(
    connection: Connection, *, older_than_days: float, limit: int = BATCH
) -> int:
    """Remove the requests of synchronous jobs that ended so long ago; their rows stay."""
    is_old = and_(Job.source == Source.SYNC, Job.ended_at < days_ago(older_than_days))
    old = select(Payload.job_id).join(Job, Job.id == Payload.job_id).where(is_old)
    some = old.limit(limit).with_for_update(of=Payload, skip_locked=True)
    return connection.execute(delete(Payload).where(Payload.job_id.in_(some))).rowcount


def remove_swaps(connection: Connection, *, older_than_days: float, limit: int = BATCH) -> int:
    """Remove lines of the swaps' ledger that are so old."""
    old = select(Swap.id).where(Swap.at < days_ago(older_than_days)).order_by(Swap.at, Swap.id)
    return connection.execute(delete(Swap).where(Swap.id.in_(_some(old, limit)))).rowcount


def remove_costs(connection: Connection, *, older_than_days: float, limit: int = BATCH) -> int:
    """Remove what residencies have cost that no job has used for so long."""
    cost = ResidencyCost
    is_old = or_(cost.served_until.is_(None), cost.served_until < days_ago(older_than_days))
    is_unused = is_idle(cost.queue, older_than_days=older_than_days)
    old = select(cost.target, cost.queue).where(is_old, is_unused)
    some = tuple_(cost.target, cost.queue).in_(_some(old, limit))
    return connection.execute(delete(cost).where(some)).rowcount


def _some(old: Select[*tuple[Any, ...]], limit: int) -> Select[*tuple[Any, ...]]:
    return old.limit(limit).with_for_update(skip_locked=True)
