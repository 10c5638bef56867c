"""Celery's own remote control for jobs: each command does what it says, or says why not.

What is not here is Celery's, and true: what it shows of its tasks, events, ping, clock.
"""

from collections.abc import Iterable
from typing import Any

from celery.worker import control

from celery_app import process
from celery_app.bootstep import is_job_queue
from foreman.adapters.broker import CANCEL, REPORT, model_queue
from foreman.adapters.undecodable import UNDECODABLE
from foreman.core.queues import QUEUE_PREFIX, residency_queue
from foreman.errors import DatabaseUnavailable
from foreman.ids import parse_id
from foreman.refusals import AlreadyEnded, JobUnknown
from foreman.services.cancel import cancel_asked
from foreman.worker.assembly import Worker
from foreman.worker.events import CancelAsked, Refuse
from foreman.worker.shown import served_queues, shown

Answer = dict[str, Any]

_celery: Any = control  # the stub has not all of it

# Foreman's own queues: a consumer would take what others wait for, or what is kept.
_OWN_PREFIX, _OWN_DEFAULT = "foreman.", "foreman.default"

_SLOTS_DECIDE = "the slots of a target decide how many jobs run at once: see FOREMAN_TARGETS"
REFUSED = {
    "rate_limit": "a job that Celery holds back holds a slot of its target: there is no rate limit",
    "time_limit": "a thread cannot be interrupted: FOREMAN_JOB_TIMEOUT is the limit of every run",
    "pool_grow": _SLOTS_DECIDE,
    "pool_shrink": _SLOTS_DECIDE,
    "autoscale": _SLOTS_DECIDE,
    "pool_restart": "the pool has no code of its own to load again: restart the process",
    "revoke_by_stamped_headers": "jobs have no stamped headers: revoke them by their ids",
    "election": "a worker leads nobody: leases in the database say who drives which target",
}


def _refuse(name: str, reason: str) -> None:
    """Have a command of Celery's answer with an error that says why."""
    meta = _celery.Panel.meta[name]

    def refused(state: Any, **arguments: Any) -> Answer:
        return {"error": reason}

    _celery.Panel.register(
        name=name,
        type=meta.type,
        help=f"Refused: {reason}.",
        args=meta.args,
        signature=meta.signature,
        variadic=meta.variadic,
    )(refused)


for _name, _reason in REFUSED.items():
    _refuse(_name, _reason)


# Queues


@control.control_command(
    name="cancel_consumer", args=[("queue", str)], signature="<queue>", help="Pause a queue here."
)
def cancel_consumer(state: Any, queue: str, **options: Any) -> Answer:
    """Take no more jobs of a residency on this worker's target; other queues as Celery does."""
    if queue == UNDECODABLE:
        return {"error": f"nobody consumes from {queue}"}
    if not is_job_queue(queue):
        return _answer(_celery.cancel_consumer(state, queue, **options))
    return _pause(queue, is_refused=True)


@control.control_command(
    name="add_consumer",
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
    help="Resume a queue here.",
)
def add_consumer(state: Any, queue: str, **options: Any) -> Answer:
    """Take jobs of a residency again; other queues as Celery does, but for foreman's own."""
    if queue.startswith(QUEUE_PREFIX):
        return _pause(queue, is_refused=False)
    if queue.startswith(_OWN_PREFIX) and queue != _OWN_DEFAULT:
        return {"error": f"{queue} is foreman's own: a consumer would take what others wait for"}
    return _answer(_celery.add_consumer(state, queue, **options))


def _pause(queue: str, *, is_refused: bool) -> Answer:
    worker, residency = process.current(), residency_queue(queue)
    worker.tell(Refuse(residency, is_refused))
    lease = worker.state.lease
    here = f"target {lease.target}" if lease else "this worker, which has no target"
    return {"ok": f"{here} {'takes no more' if is_refused else 'takes'} jobs of {residency}"}


def _answer(answer: Any) -> Answer:
    answered: Answer = answer
    return answered


# Jobs


@control.control_command(
    name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]", help="Cancel jobs."
)
def revoke(state: Any, task_id: Any, **options: Any) -> Answer:
    """Cancel jobs by their ids, waiting or running; `terminate` and `signal` change nothing."""
    asked = [task_id] if isinstance(task_id, str) else list(task_id or [])
    return _summed_up(_cancel(process.current(), str(each)) for each in asked)


@control.control_command(
    name="terminate",
    args=[("signal", str)],
    variadic="task_id",
    signature="<signal> [id1 [id2 [... [idN]]]]",
    help="Cancel jobs.",
)
def terminate(state: Any, signal: str, task_id: Any, **options: Any) -> Answer:
    """The same: a run is hung up on, whatever the signal."""
    return _answer(revoke(state, task_id))


def _cancel(worker: Worker, text: str) -> tuple[bool, str]:
    """Cancel one job: whether it is or will be cancelled, and what to say of it."""
    job_id = parse_id(text)
    if job_id is None:
        return False, f"{text} is no id of a job"
    try:
        # Of a job that runs elsewhere, its worker reads the row, or hears the same command.
        cancel_asked(
            worker.runtime.database, job_id, lambda each: worker.tell(CancelAsked(str(each)))
        )
    except (JobUnknown, AlreadyEnded, DatabaseUnavailable) as error:
        return False, f"job {job_id}: {error}"
    return True, f"job {job_id} is cancelled"


def _summed_up(results: Iterable[tuple[bool, str]]) -> Answer:
    told = list(results)
    is_ok = bool(told) and all(ok for ok, _ in told)
    return {"ok" if is_ok else "error": "; ".join(text for _, text in told) or "no id was given"}


@control.control_command(name=CANCEL, args=[("job_id", str)], signature="<job_id>")
def cancel_job(state: Any, job_id: str) -> Answer:
    """Stop a job if it runs in this worker; its row says already that it is to end."""
    worker, parsed = process.current(), parse_id(job_id)
    is_here = parsed is not None and parsed in worker.live.claimed()
    if parsed is not None:
        worker.tell(CancelAsked(str(parsed)))
    return {"ok": is_here}


@control.control_command(name=REPORT, args=[("taken", list)], signature="<taken>")
def note_taken(state: Any, taken: list[tuple[str, int, int]]) -> Answer:
    """Clients have taken so many bytes of these runs: job, fence, bytes."""
    worker = process.current()
    for job_id, fence, taken_bytes in taken:
        if parsed := parse_id(job_id):
            worker.live.note_taken(parsed, fence, taken_bytes)
    return {"ok": True}


# The worker


@control.control_command(name="shutdown", help="Stop this worker, as SIGTERM does.")
def shutdown(state: Any, **options: Any) -> None:
    """Take no more jobs, let those that run end within FOREMAN_SHUTDOWN, and end."""
    process.current().stop()
    _celery.shutdown(state, **options)


@control.control_command(name="disable_events", help="Stop sending task events.")
def disable_events(state: Any) -> Answer:
    """As Celery's own, which does nothing in a worker that was started with all events (-E)."""
    dispatcher = state.consumer.event_dispatcher
    if dispatcher is not None and not dispatcher.groups:
        dispatcher.groups.update({"worker", "task"})
    return _answer(_celery.disable_events(state))


@control.inspect_command(name="active_queues")
def active_queues(state: Any) -> list[dict[str, Any]]:
    """The queues of Celery's consumer, and the model queues that are served now (for Flower)."""
    own = list(state.consumer.task_consumer.queues) if state.consumer.task_consumer else []
    served = [model_queue(name) for name in served_queues(process.current().state)]
    return [queue.as_dict(recurse=True) for queue in own + served]


@control.inspect_command(name="drain")
def inspect_drain(state: Any) -> dict[str, Any]:
    """What this worker's target has loaded and serves, what waits, what is loaded next and why."""
    worker = process.current()
    return shown(worker.state)
