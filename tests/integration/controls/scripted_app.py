"""A Celery worker whose thread decides by a few lines, for tests of what carries effects out.

It takes jobs of the queues that TEST_QUEUES names, one after another, and calls none too many or
too long. Nothing is loaded: the target does that when it is asked.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from celery import signals

from celery_app import bootstep, controls, events, generate, inspection, process
from foreman import logs
from foreman.adapters.broker import make_celery
from foreman.config import from_env
from foreman.errors import JobCancelled, ShuttingDown, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.store import targets
from foreman.worker import effects
from foreman.worker.assembly import Hands, Parts
from foreman.worker.events import (
    CancelAsked,
    Claimed,
    Connected,
    Ended,
    Event,
    Leased,
    LeaseLost,
    Message,
    NotLeased,
    Reached,
    Refuse,
    StopAsked,
    Unclaimed,
)
from foreman.worker.state import Health, Job, Park, Pulls, Stage, State

__all__ = ["controls", "inspection"]

NAMES = frozenset(os.environ["TEST_QUEUES"].split(","))


def step(state: State, event: Event, now: float) -> tuple[State, list[effects.Effect]]:
    """Park; run what comes; settle it."""
    state = replace(state, now=now)
    todo = list(_on(state, event))
    state = _changed(state, event)
    if state.lease is None and not state.is_acquiring and not state.is_stopping:
        todo.append(effects.Acquire())
        state = replace(state, is_acquiring=True, wake_at=now + 0.5)
    wish = Park(NAMES - state.refused) if not state.jobs else Park(frozenset())
    is_new = wish != state.pulls.wish or isinstance(event, Message | Connected)
    if state.serves and state.pulls.is_connected and is_new:
        pulls = replace(state.pulls, wish=wish, number=state.pulls.number + 1)
        todo.append(effects.Pull(wish, pulls.number))
        state = replace(state, pulls=pulls)
    if state.is_stopping and state.lease is not None and not state.jobs:
        todo.append(effects.Release(state.lease))
        state = replace(state, lease=None)
    return state, todo


def _on(state: State, event: Event) -> Iterator[effects.Effect]:
    match event:
        case Message(tag, name, job_id):
            if job_id is None:
                yield effects.SetAside(tag)
            elif state.serves and name not in state.refused:
                yield effects.StartRun(tag, is_ready=True)
            else:
                yield effects.Requeue(tag)
        case Claimed():
            yield effects.Ack(event.tag)
        case Unclaimed(tag, is_looked_at):
            yield effects.Ack(tag) if is_looked_at else effects.Requeue(tag)
        case CancelAsked(job_id):
            for job in state.jobs.values():
                if job.job_id == job_id:
                    yield effects.StopRun(job.tag, JobCancelled())
        case LeaseLost():
            yield from (effects.StopRun(tag, WorkerLost()) for tag in state.jobs)
        case StopAsked():
            yield from (effects.StopRun(tag, ShuttingDown()) for tag in state.jobs)


def _changed(state: State, event: Event) -> State:
    match event:
        case Message(tag, name, str(job_id)) if state.serves and name not in state.refused:
            job = Job(tag, job_id, name, Stage.RUNNING, state.now)
            return replace(state, jobs={**state.jobs, tag: job})
        case Message():
            return replace(state, undecodable=state.undecodable + (event.job_id is None))
        case Ended() | Unclaimed():
            jobs = {tag: job for tag, job in state.jobs.items() if tag != event.tag}
            return replace(state, jobs=jobs)
        case Leased(lease):
            return replace(state, lease=lease, is_acquiring=False)
        case NotLeased():
            return replace(state, is_acquiring=False)
        case LeaseLost():
            return replace(state, lease=None)
        case Reached(is_reachable):
            return replace(state, health=Health(is_reachable=is_reachable))
        case Connected(is_connected):
            return replace(state, pulls=Pulls(Park(frozenset()), is_connected=is_connected))
        case Refuse(queue, is_refused):
            refused = state.refused | {queue} if is_refused else state.refused - {queue}
            return replace(state, refused=refused)
        case StopAsked():
            return replace(state, stop_at=state.now)
    return state


def hands(runtime: WorkerRuntime) -> Hands:
    """A target's lease alone: nothing is loaded, and nothing is told."""

    def acquire(effect: effects.Acquire) -> Leased | NotLeased:
        began_at = time.monotonic()
        with runtime.database.statement() as connection:
            lease = targets.acquire_lease(
                connection,
                list(runtime.targets),
                worker=runtime.worker,
                lease_s=runtime.settings.lease_s,
            )
        return Leased(lease, began_at, (), Room()) if lease else NotLeased()

    def release(effect: effects.Release) -> None:
        with runtime.database.statement() as connection:
            targets.release_lease(connection, effect.lease)

    carry_out: dict[type, Callable[[Any], Event | None]] = defaultdict(lambda: lambda effect: None)
    carry_out |= {effects.Acquire: acquire, effects.Release: release}
    return carry_out, lambda: None


_settings = from_env(os.environ)


@signals.setup_logging.connect
def configure_logs(**options: Any) -> None:
    logs.configure(_settings.log_level)


app = make_celery(_settings, has_confirms=False)
process.plan(_settings, Parts(step, VisitRules(), hands))
app.steps["consumer"].update({events.GatherEvents, bootstep.WorkerStep})
generate.register(app)
