"""The relay: publish the wake-ups that are owed, and again those that the broker lost.

Mark, send, and take the mark back of what was not sent: no row is locked while the broker is asked.
A crash after the mark delays a message by 15 s, as one in a web process does.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from celery import Celery
from kombu import Connection

from foreman.adapters.broker import queue_length, send_wakeup
from foreman.core.queues import Wakeup
from foreman.core.waiting import Waiting
from foreman.errors import DatabaseUnavailable
from foreman.store import upkeep
from foreman.store.db import Database

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SLICES_PER_TURN = 10
# How long one slice is sent: less than messages are waited for before they are looked for.
SLICE_LIMIT_S = 2.0

R = TypeVar("R")


class Runtime(Protocol):
    """What the relay needs of the process's runtime."""

    database: Database
    celery: Celery

    def connect(self) -> Connection: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """What was sent of those marked at once; there may be more when it was full and quick."""

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
            if owed:
                upkeep.mark_published(connection, [each.job_id for each in owed])
        sent = self._send(owed, is_owed=True)
        return Slice(sent, has_more=sent == upkeep.SLICE)

    def _look_at_slice(self, is_short: dict[str, bool]) -> Slice:
        with self._runtime.database.transaction() as connection:
            overdue = upkeep.overdue_messages(connection)
            if not overdue:
                return Slice(0, has_more=False)
            upkeep.mark_published(connection, [each.job_id for each in overdue])
            new = {each.queue for each in overdue} - is_short.keys()
            waiting = upkeep.waiting_queues(connection) if new else []
        with self._unmarked_on_failure(overdue, is_owed=False):
            is_short |= self._short_of_messages(new, waiting)
        lost = [each for each in overdue if is_short[each.queue]]
        sent = self._send(lost, is_owed=False)
        is_all = sent == len(lost) and len(overdue) == upkeep.SLICE
        return Slice(sent, has_more=is_all)

    def _short_of_messages(
        self, queues: Collection[str], waiting: Sequence[Waiting]
    ) -> dict[str, bool]:
        """Of each queue, whether it holds fewer messages than jobs wait for it."""
        if not queues:
            return {}
        counts = {each.name: each.count for each in waiting}
        return self._using_broker(
            lambda broker: {
                name: queue_length(broker, name) < counts.get(name, 0) for name in queues
            }
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.collect()
            self._connection = None

    def _send(self, wakeups: Sequence[Wakeup], *, is_owed: bool) -> int:
        """Send these marked ones, oldest first, for SLICE_LIMIT_S; returns how many were sent."""
        if not wakeups:
            return 0
        unsent = list(reversed(wakeups))
        with self._unmarked_on_failure(unsent, is_owed=is_owed):
            self._using_broker(lambda broker: self._send_by(broker, unsent))
        self._unmark(unsent, is_owed=is_owed)
        return len(wakeups) - len(unsent)

    def _send_by(self, broker: Connection, unsent: list[Wakeup]) -> None:
        """Send from the end of the list, where each stays until it is sent."""
        producer = self._runtime.celery.amqp.Producer(broker.default_channel, auto_declare=False)
        end_at = time.monotonic() + SLICE_LIMIT_S
        while unsent:
            send_wakeup(self._runtime.celery, producer, unsent[-1])
            unsent.pop()
            if time.monotonic() >= end_at:
                return

    @contextmanager
    def _unmarked_on_failure(self, unsent: Sequence[Wakeup], *, is_owed: bool) -> Iterator[None]:
        """Whatever the broker raises; should this fail, too, they are looked for in 15 s."""
        try:
            yield
        except BaseException:
            with suppress(DatabaseUnavailable):
                self._unmark(unsent, is_owed=is_owed)
            raise

    def _unmark(self, unsent: Sequence[Wakeup], *, is_owed: bool) -> None:
        if unsent:
            job_ids = [each.job_id for each in unsent]
            with self._runtime.database.statement() as connection:
                upkeep.unmark_published(connection, job_ids, is_owed=is_owed)

    def _using_broker(self, action: Callable[[Connection], R]) -> R:
        if self._connection is None:
            self._connection = self._runtime.connect()
        try:
            return action(self._connection)
        except BaseException:
            self.close()
            raise
