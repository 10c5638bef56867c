"""The target's lease: taken, renewed, lost, given back; and the end of the worker."""

import math
from dataclasses import replace

from foreman.errors import ShuttingDown, WorkerLost
from foreman.scheduling.rhythm import MOST_CREDIT
from foreman.scheduling.values import Plan
from foreman.worker.effects import ERROR, Acquire, Log, Observe, Release, Requeue
from foreman.worker.events import Leased, LeaseLost, NotLeased, Reached, Renewed, StopAsked
from foreman.worker.state import EMPTY_VIEW, LONG_AGO, Health, Resident
from foreman.worker.steps.turn import Turn

# A worker without a target asks for one so often.
STANDBY_S = 0.5
# Of a lease: the one who has it lets it go before another can take it.
GIVE_UP_AT = 0.95


def on_leased(turn: Turn, event: Leased) -> None:
    """Start over on a target. What its rows name may be gone by now: it is looked at first."""
    if turn.state.is_stopping:
        turn.change(is_acquiring=False)
        turn.do(Release(event.lease))
        return
    residents = {
        queue: Resident(queue, model, turn.now, is_doubted=True) for queue, model in event.residents
    }
    turn.change(
        lease=event.lease,
        leased_at=turn.now,
        renewed_at=event.began_at,
        is_acquiring=False,
        residents=residents,
        told=None,
        room=event.room,
        load=None,
        plan=Plan(),
        view=EMPTY_VIEW,
        is_looking=False,
        look_at=LONG_AGO,
        changed_at=turn.now,
        loaded_at=turn.now,
        observe_at=math.inf,
        is_observing=True,
        left_at={},
        linger_credit=MOST_CREDIT,
        failures={},
        paused_until={},
        pins_paused_until={},
        health=Health(is_reachable=turn.state.health.is_reachable),
        utilization=0.0,
    )
    turn.change_pulls(late_since={}, left_out={}, quiet_since=turn.now)
    turn.do(Observe(event.lease))


def on_not_leased(turn: Turn, event: NotLeased) -> None:
    turn.change(is_acquiring=False, acquire_at=turn.now + STANDBY_S)


def on_renewed(turn: Turn, event: Renewed) -> None:
    """The lease lasts longer; one that was given up meanwhile would be nobody's until it ends."""
    if event.lease == turn.state.lease:
        turn.change(renewed_at=event.began_at)
    else:
        turn.do(Release(event.lease))


def on_lease_lost(turn: Turn, event: LeaseLost) -> None:
    if event.lease == turn.state.lease:
        lose(turn)


def on_reached(turn: Turn, event: Reached) -> None:
    """The target began to answer, or stopped; back again, it may have lost what it had loaded."""
    turn.change_health(is_reachable=event.is_reachable)
    if event.is_reachable:
        turn.change(observe_at=LONG_AGO)
        for queue in turn.state.residents:
            turn.change_resident(queue, is_doubted=True)


def on_stop(turn: Turn, event: StopAsked) -> None:
    """Take nothing more; what runs has `shutdown_s` to end, then it is given back."""
    if not turn.state.is_stopping:
        turn.change(stop_at=turn.now + turn.state.setup.shutdown_s)
        let_held_go(turn)


def let_held_go(turn: Turn) -> None:
    """Return the message that was held for a view."""
    held = turn.state.held
    if held is not None:
        turn.change(held=None)
        turn.do(Requeue(held.tag))


def lose(turn: Turn) -> None:
    """The target may be another worker's by now: nothing of this one may run on it."""
    lease = turn.state.lease
    turn.do(Log(ERROR, "lease lost", {"target": lease.target if lease else None}))
    for job in turn.state.jobs.values():
        turn.stop(job, WorkerLost())
    let_held_go(turn)
    turn.change(
        lease=None, acquire_at=turn.now, residents={}, load=None, plan=Plan(), view=EMPTY_VIEW
    )


def tend(turn: Turn) -> None:
    """What time alone brings: a lease that ran out, one to ask for, the end of a stop."""
    state = turn.state
    give_up_at = state.renewed_at + GIVE_UP_AT * state.setup.lease_s
    if state.lease is not None and turn.now >= give_up_at:
        lose(turn)
    elif state.lease is not None:
        turn.wake_by(give_up_at)
    if turn.state.is_stopping:
        _end(turn)
    elif turn.state.lease is None and not turn.state.is_acquiring:
        if turn.now >= turn.state.acquire_at:
            turn.change(is_acquiring=True)
            turn.do(Acquire())
        else:
            turn.wake_by(turn.state.acquire_at)


def _end(turn: Turn) -> None:
    """A worker that stops: give back what runs for too long, then the target."""
    state = turn.state
    assert state.stop_at is not None
    is_late = turn.now >= state.stop_at
    if is_late:
        for job in state.jobs.values():
            turn.stop(job, ShuttingDown())
    else:
        turn.wake_by(state.stop_at)
    if state.lease is not None and not state.jobs and (state.load is None or is_late):
        turn.do(Release(state.lease))
        turn.change(lease=None, load=None, residents={}, plan=replace(state.plan, load=None))
