"""Pull jobs from one model queue at a time, on a connection and a thread of its own.

While a visit lasts it asks the resident queue (`basic_get` answers "empty" exactly); when there is
nothing to do it parks consumers on all queues, so that the first message of any of them arrives at
once. Which queue is next is decided by `foreman.core.drain`; the job is run by Celery.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

from kombu import Connection, Consumer, Message

from celery_app.worker import Worker
from foreman.adapters.broker import connect_to_drain, model_queue, settle
from foreman.core.drain import Decision, Waiting, decide
from foreman.core.queues import Residency
from foreman.errors import DatabaseUnavailable
from foreman.store import targets, upkeep

log = logging.getLogger(__name__)

# How soon a parked thread notices that the last job ended, or that it should stop.
WAKE_S = 0.05
# How soon a queue that no message announced is noticed.
NOTICE_S = 0.5
STANDBY_S = 0.5
RETRY_S = 0.5
# How often the broker's heartbeat is looked after, whatever the thread is waiting for.
BEAT_S = 1.0

# After a hand-over this thread stays off the interpreter until the job's request is out: the two
# would contend for it (1.5 ms to the first token). For longer, and the next job would wait.
CLAIM_PATIENCE_S = 0.005

Pulled = tuple[str, Message]


class Puller(threading.Thread):
    """Takes messages for one worker and hands them to Celery, at most `slots` at once."""

    def __init__(self, worker: Worker, hand_over: Callable[[Message], None]) -> None:
        super().__init__(name="puller", daemon=True)
        self._worker = worker
        self._hand_over = hand_over
        self._settings = worker.runtime.settings
        self._visit = worker.visit
        self._is_closed = threading.Event()
        self._connection: Connection
        self._declared: set[str] = set()
        self._beat_at = 0.0
        self._noticed: set[str] = set()  # queues of runner options, which no list names
        self.decision = Decision(None, "just started")

    # From other threads

    def queues(self) -> list[str]:
        """What this worker listens to now: the resident queue in a visit, all queues else."""
        if self._visit.queue and self._worker.slots.running:
            return [self._visit.queue]
        return sorted(self._known())

    def close(self) -> None:
        """Stop for good; called when no message of this connection is unsettled."""
        self._is_closed.set()
        self.join(2)

    # The thread

    def run(self) -> None:
        while not self._is_closed.is_set():
            try:
                with connect_to_drain(self._settings) as connection:
                    self._pull_from(connection)
            except DatabaseUnavailable as error:
                log.warning("drain waits for the database", extra={"error": str(error)})
            except Exception as exc:  # the outermost loop: whatever the broker does, go on
                log.warning("drain lost its connection", extra={"error": repr(exc)})
            self._is_closed.wait(RETRY_S)

    def _pull_from(self, connection: Connection) -> None:
        self._connection, self._declared = connection, set()
        self._pulling: Any = connection.channel()
        self._parking: Any = connection.channel()
        self._is_unsettled = False
        while not self._is_closed.is_set():
            # A stopping worker keeps the connection: what it holds is still to be settled.
            pulled = None if self._worker.is_stopping.is_set() else self._next()
            if pulled is not None:
                self._hand(*pulled)
            elif self._worker.is_stopping.is_set():
                self._is_closed.wait(WAKE_S)
            if time.monotonic() - self._beat_at > BEAT_S:
                self._drain_events(0.001)  # the broker's own heartbeats are read here, too

    def _next(self) -> Pulled | None:
        """The next message that may run now; None after a short wait without one."""
        lease = self._worker.keeper.lease
        if lease is None and (lease := self._worker.keeper.acquire()) is None:
            self._worker.is_stopping.wait(STANDBY_S)
            return None
        if not self._worker.runtime.catalog.is_reachable(lease.target):
            # What waits is for other targets, or for this one when it is back.
            self._worker.is_stopping.wait(STANDBY_S)
            return None
        spec = self._worker.runtime.targets[lease.target].spec
        if not self._worker.slots.wait_for_free(spec.slots, 1):
            return None
        if self._visit.queue is not None:
            message = self._get(self._visit.queue)
            if message is not None:
                return self._visit.queue, message
            if self._worker.slots.running:
                return self._listen([self._visit.queue], until=self._visit_is_over)
        return self._begin_visit()

    def _begin_visit(self) -> Pulled | None:
        """The resident queue is drained and nothing runs: go to another, or listen to all."""
        waiting = [each for each in self._waiting() if each.queue != self._visit.queue]
        while True:
            self.decision = decide(resident=self._visit.queue, running=0, waiting=waiting)
            queue = self.decision.queue
            if queue is None:
                return self._listen_to_all()
            if self._is_unsettled:
                settle(self._connection, self._settings)
                self._is_unsettled = False
            message = self._get(queue)
            if message is not None:
                return queue, message
            # Its jobs' messages are still on their way, or lost: then the relay sends them again.
            waiting = [each for each in waiting if each.queue != queue]

    def _waiting(self) -> list[Waiting]:
        with self._worker.runtime.database.statement() as connection:
            waiting = upkeep.waiting_queues(connection)
        return [each for each in waiting if self._can_serve(each.model)]

    def _can_serve(self, model: str) -> bool:
        lease = self._worker.keeper.lease
        found = self._worker.runtime.catalog.look_up(model)
        # What no target has any more, any may take: its answer says so in Ollama's own words.
        return lease is not None and (found is None or lease.target in found.targets)

    def _known(self) -> set[str]:
        lease = self._worker.keeper.lease
        if lease is None or not self._worker.runtime.catalog.is_reachable(lease.target):
            return set()
        models = self._worker.runtime.catalog.models_of(lease.target)
        queues = {Residency(model).queue for model in models} | self._noticed
        return queues | ({self._visit.queue} if self._visit.queue else set())

    # Broker

    def _get(self, queue: str) -> Message | None:
        self._declare([queue])
        bound = model_queue(queue)(self._pulling)
        message: Message | None = bound.get(accept=["json"])
        return message

    def _listen_to_all(self) -> Pulled | None:
        self._notice()
        known = self._known()
        if not known:
            self._worker.is_stopping.wait(WAKE_S)
            return None
        notice_at = time.monotonic() + NOTICE_S

        def has_more() -> bool:
            nonlocal notice_at
            if time.monotonic() > notice_at:
                notice_at = time.monotonic() + NOTICE_S
                self._notice()
            return not known.issuperset(self._known()) or not self._known()

        return self._listen(known, until=has_more)

    def _notice(self) -> None:
        self._noticed = {each.queue for each in self._waiting()}

    def _visit_is_over(self) -> bool:
        return not self._worker.slots.running

    def _listen(self, queues: Collection[str], *, until: Callable[[], bool]) -> Pulled | None:
        """Consume from `queues` until the first message, or until `until` says so."""
        got: list[Message] = []

        def receive(message: Message) -> None:
            if got:
                message.reject(requeue=True)
            else:
                got.append(message)

        self._declare(queues)
        consumer = Consumer(
            self._parking,
            [model_queue(queue) for queue in queues],
            on_message=receive,
            auto_declare=False,
            accept=["json"],
        )
        # One message at a time. Redis delivers one at a time anyway, and a limit there would make
        # the next one wait for the acknowledgement of the last.
        per_channel = not self._connection.qos_semantics_matches_spec
        consumer.qos(prefetch_count=0 if self._settings.is_redis else 1, apply_global=per_channel)
        consumer.consume()
        try:
            while not (got or until() or self._worker.is_stopping.is_set()):
                self._drain_events(WAKE_S)
        finally:
            consumer.cancel()
        self._is_unsettled = not got
        return (str(got[0].delivery_info["routing_key"]), got[0]) if got else None

    def _drain_events(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout_s)
        if time.monotonic() - self._beat_at > BEAT_S:
            self._beat_at = time.monotonic()
            self._connection.heartbeat_check()

    def _declare(self, queues: Iterable[str]) -> None:
        for queue in queues:
            if queue not in self._declared:
                model_queue(queue)(self._pulling).declare()
                self._declared.add(queue)

    # Hand over

    def _hand(self, queue: str, message: Message) -> None:
        if queue != self._visit.queue:
            if self.decision.queue is None:
                self.decision = Decision(queue, "nothing waited, and its message came first")
            self._start_visit(queue)
        self._visit.jobs_served += 1
        slots, task_id = self._worker.slots, str(message.headers["id"])
        settle_message = message.ack_log_error

        def ended(logger: logging.Logger, errors: Any, *args: Any, **options: Any) -> None:
            slots.free(task_id)

        slots.take(task_id, lambda: settle_message(log, self._connection.connection_errors))
        message.ack_log_error = ended  # type: ignore[method-assign]  # Celery calls it at the end
        message.reject_log_error = ended  # type: ignore[method-assign]  # or this one
        self._hand_over(message)
        slots.wait_for_claim(task_id, CLAIM_PATIENCE_S)

    def _start_visit(self, queue: str) -> None:
        lease = self._worker.keeper.lease
        log.info("visit", extra={"queue": queue, "reason": self.decision.reason})
        if lease is not None:
            with self._worker.runtime.database.transaction() as connection:
                targets.record_swap(
                    connection,
                    lease,
                    queue,
                    reason="first" if self._visit.queue is None else "drained",
                    jobs_served=self._visit.jobs_served,
                )
        self._visit.queue, self._visit.jobs_served = queue, 0
