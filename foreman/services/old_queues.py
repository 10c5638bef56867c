"""Remove the broker's queues of residencies that nobody uses any more.

No job is lost by it, whenever it comes:
1. A residency with work is passed over, and a queue with a message or a consumer stays.
2. A message that finds no queue comes back to its publisher, who declares the queue anew
   (`broker.send_wakeup`), and so does a worker that asks one (`adapters.intake`).
3. A message that was on its way while its queue was removed may be gone. Its job was committed
   before it was sent, so it is seen here afterwards, and the relay sends its message again. If this
   process ends before that, the relay finds the message missing some seconds later (`relay`).
"""

import logging
from functools import partial

from kombu import Connection

from foreman.adapters.queue_removal import remove_queue
from foreman.ids import parse_id
from foreman.services.relay import Runtime
from foreman.store import old_queues
from foreman.store.db import Database
from foreman.store.old_queues import IdleResidency

log = logging.getLogger(__name__)


def remove_old_queues(runtime: Runtime, *, older_than_days: float | None) -> int:
    """Remove the queues of some idle residencies; returns of how many. None: never."""
    if older_than_days is None:
        return 0
    with runtime.database.statement() as connection:
        idle = old_queues.idle_residencies(connection, older_than_days=older_than_days)
    if not idle:
        return 0
    with runtime.connect() as broker:
        removed = sum(_remove(runtime.database, broker, each, older_than_days) for each in idle)
    if removed:
        log.info("unused queues removed", extra={"residencies": removed})
    return removed


def _remove(
    database: Database, broker: Connection, residency: IdleResidency, older_than_days: float
) -> bool:
    with database.statement() as connection:
        if not old_queues.is_still_idle(connection, residency, older_than_days=older_than_days):
            return False
    are_gone: list[bool] = []
    try:
        for name in residency.names:
            are_gone.append(remove_queue(broker, name, partial(_is_over, database)))
    finally:
        with database.statement() as connection:
            old_queues.unpublish_queued(connection, residency.queue)
    with database.statement() as connection:
        if all(are_gone):
            old_queues.forget(connection, residency)
        else:
            old_queues.put_off(connection, residency)
    return all(are_gone)


def _is_over(database: Database, job_id: str) -> bool:
    """Whether the job of a message has ended or was removed; of what is no id nothing is known."""
    parsed = parse_id(job_id)
    if parsed is None:
        return False
    with database.statement() as connection:
        return not old_queues.is_open(connection, parsed)
