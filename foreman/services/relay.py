"""The relay: publish the wake-ups that are owed, and again those that the broker lost."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from kombu import Connection

from foreman.adapters.broker import queue_length, send_wakeup
from foreman.core.drain import Waiting
from foreman.core.queues import Wakeup
from foreman.runtime import RelayRuntime
from foreman.store import upkeep

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class Relay:
    """Publishes with a connection of its own, which is replaced when it fails."""

    def __init__(self, runtime: RelayRuntime) -> None:
        self._runtime = runtime
        self._connection: Connection | None = None
        self._look_at = 0.0

    def publish(self) -> int:
        """One turn: what is owed, and now and then what was lost; returns how many were sent."""
        sent = self.publish_owed()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            sent += self.publish_lost()
        return sent

    def publish_owed(self) -> int:
        """Send the messages that nobody has sent; returns how many."""
        with self._runtime.database.transaction() as connection:
            owed = upkeep.unpublished(connection)
            if owed:
                # Before the commit: a crash in between doubles a message and loses none.
                self._using_broker(lambda broker: self._send(broker, owed))
                upkeep.mark_published(connection, [each.job_id for each in owed])
        return len(owed)

    def publish_lost(self) -> int:
        """Send again what waits unclaimed and is not in the broker; returns how many."""
        with self._runtime.database.transaction() as connection:
            overdue = upkeep.overdue_messages(connection)
            if not overdue:
                return 0
            waiting = {each.name: each for each in upkeep.waiting_queues(connection)}
            lost = self._using_broker(lambda broker: _lost(broker, overdue, waiting))
            self._using_broker(lambda broker: self._send(broker, lost))
            upkeep.mark_published(connection, [each.job_id for each in overdue])
        if lost:
            log.warning("messages were lost and are sent again", extra={"count": len(lost)})
        return len(lost)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.collect()
            self._connection = None

    def _send(self, broker: Connection, wakeups: list[Wakeup]) -> list[Wakeup]:
        producer = self._runtime.celery.amqp.Producer(broker.default_channel, auto_declare=False)
        for wakeup in wakeups:
            send_wakeup(self._runtime.celery, producer, wakeup)
        return wakeups

    def _using_broker(self, action: Callable[[Connection], list[Wakeup]]) -> list[Wakeup]:
        if self._connection is None:
            self._connection = self._runtime.connect()
        try:
            return action(self._connection)
        except BaseException:
            self.close()
            raise


def _lost(broker: Connection, overdue: list[Wakeup], waiting: dict[str, Waiting]) -> list[Wakeup]:
    """Of the overdue, those in queues that hold fewer messages than jobs wait for them."""
    by_queue: dict[str, list[Wakeup]] = defaultdict(list)
    for wakeup in overdue:
        by_queue[wakeup.queue].append(wakeup)
    lost: list[Wakeup] = []
    for name, wakeups in by_queue.items():
        count = waiting[name].count if name in waiting else 0
        if queue_length(broker, name) < count:
            lost += wakeups
    return lost
