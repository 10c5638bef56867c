"""Rows that are too old: each verb removes up to `limit` and says how many, none when all are gone.

What another process removes at the same time is passed over.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, select

from foreman.core.states import DeliveryState, Source
from foreman.store.hook_models import Delivery
from foreman.store.models import Job, Payload, Swap

BATCH = 500


def remove_jobs(connection: Connection, *, older_than_days: float, limit: int = BATCH) -> int:
    """Remove jobs that ended so long ago, with their payloads, events, artifacts, keys, deliveries.

    A job whose receiver is still owed something stays until that is sent or given up.
    """
    is_old = Job.ended_at < _days_ago(older_than_days)
    # An ended job was made before: so the index by age leads to the oldest.
    made = Job.created_at < _days_ago(older_than_days)
    owes = exists().where(Delivery.job_id == Job.id, Delivery.state == DeliveryState.PENDING)
    old = select(Job.id).where(made, is_old, ~owes).order_by(Job.created_at, Job.id)
    return connection.execute(delete(Job).where(Job.id.in_(_some(old, limit)))).rowcount


def remove_sync_payloads(
    connection: Connection, *, older_than_days: float, limit: int = BATCH
) -> int:
    """Remove the requests of synchronous jobs that ended so long ago; their rows stay."""
    is_old = and_(Job.source == Source.SYNC, Job.ended_at < _days_ago(older_than_days))
    old = select(Payload.job_id).join(Job, Job.id == Payload.job_id).where(is_old)
    some = old.limit(limit).with_for_update(of=Payload, skip_locked=True)
    return connection.execute(delete(Payload).where(Payload.job_id.in_(some))).rowcount


def remove_swaps(connection: Connection, *, older_than_days: float, limit: int = BATCH) -> int:
    """Remove lines of the swaps' ledger that are so old."""
    old = select(Swap.id).where(Swap.at < _days_ago(older_than_days)).order_by(Swap.at, Swap.id)
    return connection.execute(delete(Swap).where(Swap.id.in_(_some(old, limit)))).rowcount


def _some(old: Select[Any], limit: int) -> Select[Any]:
    return old.limit(limit).with_for_update(skip_locked=True)


def _days_ago(days: float) -> ColumnElement[datetime]:
    return func.now() - timedelta(days=days)
