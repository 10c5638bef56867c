"""The webhook pump: claims what is due, has it sent by threads, records what came of it.

No transaction is open while something is sent. A crash between an attempt and its record lets the
lease run out, and the same bytes go out again under the same id.
"""

import logging
import queue
import random
import threading
import time
from dataclasses import dataclass

from foreman.adapters.webhook import EXCHANGE_LIMIT_S, WebhookClient
from foreman.config import Settings
from foreman.core.lanes import Lanes
from foreman.core.webhooks import judge, signed_headers
from foreman.periodic import succeeds
from foreman.store.db import Database
from foreman.store.sealing import Seal
from foreman.store.sending import Due, Tried, claim_due, is_any_due, put_off, record_attempts

log = logging.getLogger(__name__)

THREADS = 64
# An exchange is begun in the first half of its lease and lasts no longer than the second.
LEASE_S = 2 * EXCHANGE_LIMIT_S
IDLE_S = 0.2
PAUSE_S = 1.0
# What could not even be tried, through a fault of ours, is looked at again after this.
PUT_OFF_S = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """A claimed delivery on its way to a thread; times are those of the monotonic clock."""

    due: Due
    begin_by_s: float  # later it is left alone: somebody else may send it before it is answered


@dataclass(frozen=True, slots=True)
class Back:
    """A delivery that a thread is done with; nothing was tried where the fault was ours."""

    due: Due
    tried: Tried | None
    is_late: bool = False  # nothing was tried: its lease runs out, and it is claimed again


class Pump:
    """Sends what is owed: `run` it in a thread, or call `turn` again and again, then `close`."""

    def __init__(
        self,
        database: Database,
        client: WebhookClient,
        settings: Settings,
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._database = database
        self._client = client
        self._settings = settings
        self._own_secrets = settings.webhook_secrets
        self._lease_s = lease_s
        self._seal = Seal(settings.secret_keys)
        self._lanes = Lanes(THREADS)
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._back: queue.SimpleQueue[Back] = queue.SimpleQueue()
        self._unrecorded: list[Back] = []
        for number in range(THREADS):
            threading.Thread(target=self._work, name=f"webhook{number}", daemon=True).start()

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop; then let what is under way end, for `shutdown_s` at most."""
        while not stop.is_set():
            if not self._try_turn():
                stop.wait(PAUSE_S)
        give_up_at = time.monotonic() + self._settings.shutdown_s
        while (self._lanes.count or self._unrecorded) and time.monotonic() < give_up_at:
            if not self._try_turn(has_room=False):
                time.sleep(PAUSE_S)
        self.close()

    def close(self) -> None:
        """Let the threads go; what one of them still sends is not recorded."""
        for _ in range(THREADS):
            self._orders.put(None)

    def turn(self, *, idle_s: float = IDLE_S, has_room: bool = True) -> int:
        """Record what is back and send what is due; returns how many are under way.

        Waits up to `idle_s` for something to come back. DatabaseUnavailable loses nothing: what
        was not recorded is recorded by a later turn.
        """
        self._gather(idle_s)
        if not self._unrecorded and not self._is_any_due():
            return self._lanes.count
        room = self._lanes.room(time.monotonic())
        tried = [back.tried for back in self._unrecorded if back.tried]
        untried = [back.due for back in self._unrecorded if not back.tried]
        begin_by_s = time.monotonic() + self._lease_s / 2  # the leases begin after this
        with self._database.transaction() as connection:
            taken = record_attempts(connection, tried)
            put_off(connection, untried, wait_s=PUT_OFF_S)
            claimed = claim_due(
                connection,
                room=room.total if has_room else 0,
                unproven_room=room.unproven,
                proven=room.proven,
                at_once=self._settings.webhook_concurrency,
                lease_s=self._lease_s,
            )
        self._unrecorded.clear()
        for each in tried:
            if each.due.claim not in taken:
                log.warning("attempt was fenced off", extra=_facts(each.due))
        for due in claimed:
            self._lanes.enter(due.claim, due.receiver, time.monotonic())
            self._orders.put(Order(due, begin_by_s))
        return self._lanes.count

    def _is_any_due(self) -> bool:
        with self._database.statement() as connection:
            return is_any_due(connection)

    def _try_turn(self, *, has_room: bool = True) -> bool:
        return succeeds("deliver", lambda: self.turn(has_room=has_room))

    def _gather(self, idle_s: float) -> None:
        """Take all that is back; when nothing is, wait for the first."""
        try:
            self._take(self._back.get(timeout=idle_s))
            while True:
                self._take(self._back.get_nowait())
        except queue.Empty:
            return

    def _take(self, back: Back) -> None:
        if not back.is_late:
            self._unrecorded.append(back)  # first of all: nothing may come between
        self._lanes.leave(back.due.claim, time.monotonic())

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            due, tried = order.due, None
            if time.monotonic() >= order.begin_by_s:
                log.warning("attempt was too late to begin", extra=_facts(due))
                self._back.put(Back(due, None, is_late=True))
                continue
            try:
                tried = self._attempt(due)
            except Exception:  # the outermost loop of a thread: the delivery is tried later
                log.exception("attempt could not be made", extra=_facts(due))
            self._back.put(Back(due, tried))

    def _attempt(self, due: Due) -> Tried:
        secrets = [self._seal.open(kept) for kept in due.secrets] or self._own_secrets
        headers = signed_headers(secrets, str(due.id), int(due.at.timestamp()), due.body)
        outcome = self._client.post(due.url, headers, due.body)
        attempt = due.attempts + 1
        verdict = judge(outcome, attempts=attempt, random=random.random(), at=due.at)
        if outcome.error:
            told = {"attempt": attempt, "error": outcome.error, "status": outcome.status}
            log.info("attempt failed", extra=_facts(due) | told | {"state": verdict.state})
        return Tried(due, outcome, verdict)


def _facts(due: Due) -> dict[str, object]:
    return {"job_id": str(due.job_id), "delivery": str(due.id), "receiver": due.receiver}
