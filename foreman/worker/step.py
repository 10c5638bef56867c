"""What a worker does next: a pure function of what it knows and what has happened.

Every event first changes the state (`steps`), and then the same things are looked at in the same
order, whatever the event was:

1. a load that has not begun and cannot any more; and the lease: renewed in time, or lost; asked
   for; given back by a worker that stops
2. the target's health
3. the watchdog, and slots of tasks that never began
4. a view of what waits, and an observation of what is loaded, where they are too old
5. the plan by the rules of `foreman.scheduling`, and the load that it begins
6. what the broker's thread does
7. what is written down of the residents and the room
"""

from collections.abc import Callable
from typing import Any

from foreman.scheduling.visits import measured
from foreman.worker import events
from foreman.worker.effects import Effect
from foreman.worker.events import Event
from foreman.worker.state import LONG_AGO, Stage, State
from foreman.worker.steps import (
    health,
    lease,
    loads,
    looks,
    messages,
    plan,
    pulls,
    runs,
    watchdog,
)
from foreman.worker.steps.turn import Turn, replace


def step(state: State, event: Event, now: float) -> tuple[State, list[Effect]]:
    """The next state and what is to be done; `now` is on the clock of the state's times."""
    turn = Turn(_measured(state, now))
    if not isinstance(event, events.Tick):
        _ON[type(event)](turn, event)
    loads.tend(turn)
    lease.tend(turn)
    health.tend(turn)
    watchdog.tend(turn)
    runs.tend(turn)
    looks.look(turn)
    looks.observe(turn)
    plan.decide(turn)
    pulls.pull(turn)
    looks.tell(turn, state.room)
    return replace(turn.state, wake_at=turn.wake_at), turn.effects


def _measured(state: State, now: float) -> State:
    """The state now, with the share of time at work up to now."""
    if state.measured_at == LONG_AGO:
        return replace(state, now=now, measured_at=now)
    is_at_work = any(job.stage is Stage.RUNNING for job in state.jobs.values())
    seconds = max(0.0, now - state.measured_at)
    share = measured(state.utilization, at_work=is_at_work, seconds=seconds)
    return replace(state, now=now, utilization=share, measured_at=now)


_ON: dict[type[Any], Callable[[Turn, Any], None]] = {
    events.Leased: lease.on_leased,
    events.NotLeased: lease.on_not_leased,
    events.Renewed: lease.on_renewed,
    events.LeaseLost: lease.on_lease_lost,
    events.Reached: lease.on_reached,
    events.StopAsked: lease.on_stop,
    events.Viewed: looks.on_viewed,
    events.Observed: looks.on_observed,
    events.Message: messages.on_message,
    events.Empty: messages.on_empty,
    events.Connected: messages.on_connected,
    events.Refuse: messages.on_refuse,
    events.Claimed: runs.on_claimed,
    events.Unclaimed: runs.on_unclaimed,
    events.Ended: runs.on_ended,
    events.CancelAsked: runs.on_cancel,
    events.Loaded: loads.on_loaded,
    events.LoadEnded: loads.on_load_ended,
    events.Probed: health.on_probed,
}
