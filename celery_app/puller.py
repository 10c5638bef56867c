"""Carry out the plan: pull jobs from one residency at a time and hand them to Celery.

While a visit lasts the resident's queues are asked; when there is nothing to do, consumers are
parked on all queues. What is next is `plan`'s, the broker's two faces are `inlet`'s.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any

from kombu import Connection, Message

from celery_app.inlet import WAKE_S, Inlet, Pulled
from celery_app.plan import Plan
from celery_app.worker import Worker
from foreman.adapters.broker import connect_to_drain
from foreman.core.drain import Action, Decision
from foreman.core.queues import residency_queue
from foreman.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

# How soon a queue that no message announced is noticed.
NOTICE_S = 0.5
STANDBY_S = 0.5
RETRY_S = 0.5
# After a hand-over this thread stays off the interpreter until the job's request is out: the two
# would contend for it (1.5 ms to the first token). For longer, and the next job would wait.
CLAIM_PATIENCE_S = 0.005
# Rows of the resident wait, and their messages are on their way: to wait for them costs less than
# to swap and to come back.
LATE_S = 1.0


class Fate(StrEnum):
    """What becomes of a message."""

    TAKE = "take"
    DROP = "drop"  # it wakes nobody
    RETURN = "return"  # to its queue: for another target, or for later


class Puller(threading.Thread):
    """Takes messages for one worker and hands them to Celery, at most `slots` at once."""

    def __init__(
        self,
        worker: Worker,
        hand_over: Callable[[Message], None],
        on_taken: Callable[[], None],
    ) -> None:
        super().__init__(name="puller", daemon=True)
        self._worker = worker
        self._on_taken = on_taken
        self._hand_over = hand_over
        self._visit = worker.visit
        self.plan = Plan(worker)
        self._is_closed = threading.Event()
        self._connection: Connection | None = None
        self.is_connected = False
        self._inlet: Inlet

    # From other threads

    @property
    def decision(self) -> Decision:
        """The newest decision."""
        return self.plan.decision

    def queues(self) -> list[str]:
        """What this worker listens to now: the resident's queues in a visit, all queues else."""
        if self._visit.queue and self._worker.slots.running:
            return [self._visit.queue]
        return sorted(self.plan.known())

    def reconnect(self) -> None:
        """Drop the connection, whatever the thread is waiting for in it."""
        connection = self._connection
        if connection is not None:
            connection.collect()

    def close(self) -> None:
        """Stop for good; called when no message of this connection is unsettled."""
        self._is_closed.set()
        self.join(2)

    # The thread

    def run(self) -> None:
        while not self._is_closed.is_set():
            try:
                with connect_to_drain(self._worker.runtime.settings) as connection:
                    self._connection, self.is_connected = connection, True
                    self._pull_from(connection)
            except DatabaseUnavailable as error:
                log.warning("drain waits for the database", extra={"error": str(error)})
            except Exception as exc:  # the outermost loop: whatever the broker does, go on
                log.warning("drain lost its connection", extra={"error": repr(exc)})
            self.is_connected = False
            self._is_closed.wait(RETRY_S)

    def _pull_from(self, connection: Connection) -> None:
        self._inlet = Inlet(connection, self._worker.runtime.settings)
        while not self._is_closed.is_set():
            # A stopping worker keeps the connection: what it holds is still to be settled.
            pulled = None if self._worker.is_stopping.is_set() else self._next()
            if pulled is not None:
                self._hand(*pulled)
                self._inlet.release()
            elif self._worker.is_stopping.is_set():
                self._is_closed.wait(WAKE_S)
            self._inlet.keep_alive()

    def _next(self) -> Pulled | None:
        """The next message that may run now; None after a short wait without one."""
        lease = self._worker.lease()
        if lease is None or not self._worker.may_serve():
            # What waits is for other targets, or for this one when it is back.
            self._worker.is_stopping.wait(STANDBY_S)
            return None
        slots = self._worker.runtime.targets[lease.target].spec.slots
        if self._worker.slots.running >= slots:
            # How the job before ended may say that this target can take no other.
            self._worker.slots.wait_for_free(slots, 1)
            return None
        has_looked = self.plan.is_old
        if has_looked:
            self.plan.look()
        return self._carry_out(has_looked)

    def _carry_out(self, has_looked: bool) -> Pulled | None:
        """Decide until a decision brings a message or a wait.

        Each turn without either leaves a queue out, or its rows have gone: the turns are bounded.
        """
        while True:
            decision = self.plan.decide()
            if decision.action is Action.CLOSE:
                self._worker.slots.wait_for_free(1, WAKE_S)
                return None
            if not has_looked and decision.action is not Action.TAKE:
                # No visit ends by an old picture.
                self.plan.look()
                has_looked = True
                continue
            if decision.queue is None:
                return self._listen_to_all()
            # While jobs of the visit run, only its own queues were listened to. What that may still
            # bring is settled before a swap, not in the way of the visit's next job.
            settles = not self._worker.slots.running or self.plan.has_others(decision.queue)
            names = self.plan.names(decision.queue)
            pulled = self._inlet.get(names, settles=settles)
            if pulled is not None:
                return pulled
            if self._worker.slots.running:
                return self._listen_to_resident(decision.queue)
            if has_looked and names:
                if decision.action is Action.TAKE and (late := self._await_late(names)):
                    return late
                if self.plan.has_rows(*names):
                    # Their messages are lost: the relay will send them again.
                    self.plan.note_empty(decision.queue)
            else:
                self.plan.look()
                has_looked = True

    def _listen_to_resident(self, queue: str) -> Pulled | None:
        """Jobs run, and none of the same residency waits: wait for one, or for their end."""
        if self.plan.has_others(queue):
            # The end of the last one begins a swap. A parked consumer would see it late, and on
            # Redis it is not gone before its BRPOP has ended: over 0.1 s of an idle target. So
            # this thread asks again and again, for as long as the last jobs of the visit run.
            self._worker.slots.wait_for_free(1, WAKE_S)
            return None
        # Jobs for this target alone are rare: what comes of them is seen by the next picture.
        names = dict.fromkeys([*self.plan.all_names(queue), *self.plan.names(queue)])
        return self._inlet.listen(
            names,
            until=lambda: not self._worker.slots.running or self.plan.is_old or self._is_over(),
        )

    def _await_late(self, names: list[str]) -> Pulled | None:
        """A message of the resident that the broker has yet to get."""
        give_up_at = time.monotonic() + LATE_S

        def is_over() -> bool:
            if self.plan.is_old:
                self.plan.look()  # they may have been cancelled meanwhile
            is_late = time.monotonic() > give_up_at
            return is_late or not self.plan.has_rows(*names) or self._is_over()

        return self._inlet.listen(names, until=is_over)

    def _listen_to_all(self) -> Pulled | None:
        known = self.plan.known()
        if not known:
            self._worker.is_stopping.wait(WAKE_S)
            return None
        notice_at = time.monotonic() + NOTICE_S

        def has_more() -> bool:
            nonlocal notice_at
            if time.monotonic() > notice_at:
                notice_at = time.monotonic() + NOTICE_S
                self.plan.look()
                if self.plan.decide().action is not Action.LISTEN:
                    return True
            return known != self.plan.known() or self._is_over()

        return self._inlet.listen(known, until=has_more)

    def _is_over(self) -> bool:
        """Whether this thread takes nothing more."""
        return self._is_closed.is_set() or self._worker.is_stopping.is_set()

    # Hand over

    def _hand(self, name: str, message: Message) -> None:
        queue, errors = residency_queue(name), self._inlet.errors
        self.plan.note_found(queue)
        fate = self._judge(name, queue, message)
        if fate is Fate.DROP:
            message.ack_log_error(log, errors)
        elif fate is Fate.RETURN:
            message.reject_log_error(log, errors, requeue=True)
        else:
            if queue != self._visit.queue:
                self._begin_visit(queue)
            self._visit.serve()
            self._on_taken()
            self._run_task(message)

    def _judge(self, name: str, queue: str, message: Message) -> Fate:
        task_id = message.headers.get("id")
        if task_id is None:
            log.error("message is no task", extra={"queue": name})
            return Fate.DROP
        if self._worker.slots.of(str(task_id)) is not None:
            return Fate.DROP  # it came twice, and runs here
        if self._is_over() or not self._worker.may_serve():
            return Fate.RETURN  # all changed while this thread listened
        if queue == self._visit.queue:
            return Fate.TAKE
        self.plan.look()
        if not self.plan.has_rows(name):
            return Fate.DROP  # of a job that has ended: no reason to leave the resident
        is_free = not self._worker.slots.running
        # Since the last picture another target may have loaded it, and serves it sooner.
        return Fate.TAKE if is_free and self.plan.may_begin(queue) else Fate.RETURN

    def _run_task(self, message: Message) -> None:
        slots, errors = self._worker.slots, self._inlet.errors
        slot = slots.take(
            str(message.headers["id"]),
            partial(message.ack_log_error, log, errors),
            partial(message.reject_log_error, log, errors, requeue=True),
        )

        def ended(logger: logging.Logger, errors: Any, *args: Any, **options: Any) -> None:
            slots.free(slot)

        message.ack_log_error = ended  # type: ignore[method-assign]  # Celery calls it at the end
        message.reject_log_error = ended  # type: ignore[method-assign]  # or this one
        try:
            self._hand_over(message)
        except Exception:
            slots.free(slot, is_looked_at=False)
            raise
        slots.wait_for_claim(slot, CLAIM_PATIENCE_S)

    def _begin_visit(self, queue: str) -> None:
        decision = self.plan.decision
        if decision.queue != queue:
            cause = "first" if self._visit.queue is None else "drained"
            reason = "nothing waited, and its job came first"
            decision = Decision(Action.SWAP, queue, reason, cause)
        self.plan.decision = decision
        self._visit.begin(queue, decision)
