"""The relay: publish the wake-ups that are owed, and again those that the broker lost."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from celery import Celery
from kombu import Connection

from foreman.adapters.broker import queue_length, send_wakeup
from foreman.core.queues import Wakeup
from foreman.store import upkeep
from foreman.store.db import Database

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SLICES_PER_TURN = 10
# How long one transaction sends: far below the 30 s after which PostgreSQL ends an idle one, with
# PUBLISH_LIMIT_S for the last confirmation besides.
SLICE_LIMIT_S = 2.0

R = TypeVar("R")


class Runtime(Protocol):
    """What the relay needs of the process's runtime."""

    database: Database
    celery: Celery

    def connect(self) -> Connection: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """What one transaction has sent; there may be more when it was full and quick."""

    sent: int
    has_more: bool


class Relay:
    """Publishes with a connection of its own, which is replaced when it fails."""

    def __init__(self, runtime: Runtime) -> None:
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
        return sum(self._slices(self._publish_slice))

    def publish_lost(self) -> int:
        """Send again what waits unclaimed and is not in the broker; returns how many."""
        # Of each queue it is asked once: what is sent again would hide what is still to be sent.
        is_short: dict[str, bool] = {}
        lost = sum(self._slices(lambda: self._look_at_slice(is_short)))
        if lost:
            log.warning("messages were lost and are sent again", extra={"count": lost})
        return lost

    def _slices(self, publish: Callable[[], Slice]) -> Iterator[int]:
        """How many each slice has sent, until there is no more for this turn."""
        for _ in range(SLICES_PER_TURN):
            done = publish()
            yield done.sent
            if not done.has_more:
                return

    def _publish_slice(self) -> Slice:
        with self._runtime.database.transaction() as connection:
            owed = upkeep.unpublished(connection)
            # Before the commit: a crash in between doubles a message and loses none.
            sent = self._send(owed)
            if sent:
                upkeep.mark_published(connection, [each.job_id for each in sent])
        return Slice(len(sent), has_more=len(sent) == upkeep.SLICE)

    def _look_at_slice(self, is_short: dict[str, bool]) -> Slice:
        with self._runtime.database.transaction() as connection:
            overdue = upkeep.overdue_messages(connection)
            if not overdue:
                return Slice(0, has_more=False)
            new = {each.queue for each in overdue} - is_short.keys()
            if new:
                waiting = {each.name: each.count for each in upkeep.waiting_queues(connection)}
                is_short |= self._using_broker(
                    lambda broker: {
                        name: queue_length(broker, name) < waiting.get(name, 0) for name in new
                    }
                )
            lost = [each for each in overdue if is_short[each.queue]]
            sent = self._send(lost)
            done = [*(each for each in overdue if not is_short[each.queue]), *sent]
            upkeep.mark_published(connection, [each.job_id for each in done])
        return Slice(len(sent), has_more=len(done) == upkeep.SLICE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.collect()
            self._connection = None

    def _send(self, wakeups: Sequence[Wakeup]) -> Sequence[Wakeup]:
        """Send these, oldest first, for SLICE_LIMIT_S; returns those that were sent."""
        if not wakeups:
            return []
        return self._using_broker(lambda broker: self._send_by(broker, wakeups))

    def _send_by(self, broker: Connection, wakeups: Sequence[Wakeup]) -> Sequence[Wakeup]:
        producer = self._runtime.celery.amqp.Producer(broker.default_channel, auto_declare=False)
        end_at = time.monotonic() + SLICE_LIMIT_S
        for number, wakeup in enumerate(wakeups):
            if number and time.monotonic() >= end_at:
                return wakeups[:number]
            send_wakeup(self._runtime.celery, producer, wakeup)
        return wakeups

    def _using_broker(self, action: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._runtime.connect()
        try:
            return action(self._connection)
        except BaseException:
            self.close()
            raise
