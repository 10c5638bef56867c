"""The drain as Celery sees it: a worker bootstep, and remote-control commands that tell of it."""

import logging
import os
import signal
import threading
import time
from typing import Any

from celery import bootsteps
from celery.worker import control

from celery_app import lifecycle
from celery_app.puller import Puller
from celery_app.worker import Worker
from foreman.adapters.broker import CANCEL, REPORT, model_queue
from foreman.ids import parse_id
from foreman.services.watchdog import LOOK_EVERY_S, Watchdog

log = logging.getLogger(__name__)

END_LIMIT_S = 30.0


class DrainStep(bootsteps.StartStopStep):
    """Starts a puller beside Celery's own consumer, and again after a lost connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.drain = self
        self.worker: Worker = lifecycle.start_worker(consumer.hostname)
        self.puller: Puller | None = None
        self._watchdog = Watchdog(
            may_take=self._may_take,
            longest_wait_s=lambda: self.puller.plan.overlooked_s() if self.puller else 0.0,
            reconnect=lambda: self.puller.reconnect() if self.puller else None,
            give_up=_end_process,
        )
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def start(self, consumer: Any) -> None:
        self._close_puller()
        # Called in the puller's thread, not by way of Celery's loop: it only hands the task to the
        # pool and its event to a buffer, and the loop would have to wake up for it.
        self.puller = Puller(self.worker, consumer.create_task_handler(), self._watchdog.taken)
        self.puller.start()

    def stop(self, consumer: Any) -> None:
        """A warm stop, or a lost connection: `lifecycle` tells which, here nothing is lost."""

    def shutdown(self, consumer: Any) -> None:
        """Nothing runs any more: the connection may close."""
        self._close_puller()

    def _may_take(self) -> bool:
        worker = self.worker
        is_busy = worker.slots.running > 0 or worker.visit.is_loading
        is_connected = self.puller is not None and self.puller.is_connected
        return is_connected and worker.may_serve() and not is_busy

    def _watch(self) -> None:
        while not self.worker.is_stopping.wait(LOOK_EVERY_S):
            try:
                self._watchdog.turn(time.monotonic())
            except Exception:  # the outermost loop: the next turn may do better
                log.exception("watching failed")

    def _close_puller(self) -> None:
        if self.puller is not None:
            self.puller.close()
            self.puller = None


def _end_process() -> None:
    """The warm stop of a supervisor, and the hard one if that hangs, too."""
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Timer(END_LIMIT_S, os._exit, (70,)).start()


def _puller(state: Any) -> Puller | None:
    drain = getattr(state.consumer, "drain", None)
    return drain.puller if drain else None


@control.control_command(name=CANCEL, args=[("job_id", str)], signature="<job_id>")
def cancel_job(state: Any, job_id: str) -> dict[str, bool]:
    """Stop a job if it runs in this worker."""
    parsed = parse_id(job_id)
    is_stopped = parsed is not None and state.consumer.drain.worker.runner.cancel(parsed)
    return {"ok": is_stopped}


@control.control_command(name=REPORT, args=[("taken", list)], signature="<taken>")
def note_taken(state: Any, taken: list[tuple[str, int, int]]) -> dict[str, bool]:
    """Clients have taken so many bytes of these runs: job, fence, bytes."""
    runner = state.consumer.drain.worker.runner
    for job_id, fence, taken_bytes in taken:
        if parsed := parse_id(job_id):
            runner.note_taken(parsed, fence, taken_bytes)
    return {"ok": True}


@control.inspect_command(name="active_queues")
def active_queues(state: Any) -> list[dict[str, Any]]:
    """The queues of Celery's consumer, and the model queues that are served now (for Flower)."""
    own = list(state.consumer.task_consumer.queues) if state.consumer.task_consumer else []
    puller = _puller(state)
    drained = [model_queue(name) for name in puller.queues()] if puller else []
    return [queue.as_dict(recurse=True) for queue in own + drained]


@control.inspect_command(name="drain")
def inspect_drain(state: Any) -> dict[str, Any]:
    """What this worker's target serves, since when, what waits, what is next and why."""
    worker, puller = state.consumer.drain.worker, _puller(state)
    lease, visit = worker.keeper.lease, worker.visit
    decision = puller.decision if puller and worker.may_serve() else None
    return {
        "target": lease.target if lease else None,
        "sick_of": worker.health.sick_of,
        "resident_queue": visit.queue,
        "is_loading": visit.is_loading,
        "dwell_s": round(visit.dwell_s, 3),
        "swap_s": visit.swap_s,
        "jobs_served": visit.jobs_served,
        "running": [str(job_id) for job_id in worker.runner.running()],
        "waiting": puller.plan.counts() if puller else {},
        "next": decision.action if decision else None,
        "next_queue": decision.queue if decision else None,
        "reason": decision.reason if decision else _why_idle(worker),
    }


def _why_idle(worker: Worker) -> str:
    """Why nothing is decided, whatever waits."""
    if worker.keeper.lease is None:
        return "it has no target: other workers drive them all, or it has just lost its own"
    if not worker.health.is_well:
        return "its target is sick, and is asked for one token now and then"
    return "just started" if worker.may_serve() else "its target does not answer"
