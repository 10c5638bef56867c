"""What the broker's thread does next.

1. Nothing may be served: nothing.
2. A load waits for its first job: ask for that.
3. A job was handed over a moment ago: nothing. The two would contend for the interpreter, and its
   request comes first.
4. Rows wait for residents that have a slot: ask for them, the oldest first.
5. Nothing runs or loads: listen to everything that this target may serve; but not where a load
   begins with the next view, or a linger is about to end, since consumers that are parked for it
   would have to go first.
6. Others wait for what runs to end: ask the residents' queues now and then. A parked consumer would
   see the end of the last job late: on Redis it is not gone before its BRPOP has ended.
7. Else listen to the residents that have a slot.
"""

import math
from collections.abc import Iterable, Iterator

from foreman.core.queues import JobClass, Residency, class_queue
from foreman.scheduling.values import Demand
from foreman.worker.effects import Pull
from foreman.worker.state import LONG_AGO, Ask, Idle, Park, Resident, Stage, State
from foreman.worker.steps.plan import demand_of, is_loading, is_pulling
from foreman.worker.steps.turn import Turn

# How often the queues of residents are asked while others wait.
ASK_EVERY_S = 0.05
# The next job waits no longer for the claim of the one before.
CLAIM_PATIENCE_S = 0.005
# A parked consumer is gone so soon: on Redis at the end of its BRPOP.
UNPARK_S = 0.2

Wish = Ask | Park | Idle


def pull(turn: Turn) -> None:
    """Tell the broker's thread what it is to do, where that has changed."""
    pulls = turn.state.pulls
    if isinstance(pulls.wish, Ask) and not pulls.answered and turn.state.serves:
        return  # its answer is a matter of milliseconds
    wish = _wish(turn)
    if wish == pulls.wish:
        return
    number = pulls.number + 1
    turn.change_pulls(wish=wish, number=number, answered=isinstance(wish, Idle))
    turn.do(Pull(wish, number))


def _wish(turn: Turn) -> Wish:
    """By the numbers above."""
    state = turn.state
    if not state.serves or state.held is not None:  # 1
        return Idle()
    if turn.now < state.pulls.resume_at:
        turn.wake_by(state.pulls.resume_at)
        return Idle()
    is_at_rest = not state.jobs
    if state.load is not None and is_pulling(state):  # 2
        # Tasks of its last visit that are still to stop hold their slots.
        has_slot = state.running(state.load.queue) < state.slots
        names = tuple(names_of(state, state.load.queue))
        return Ask(names, settles=True) if has_slot else Idle()
    if handed_at := [job.since for job in state.jobs.values() if job.stage is Stage.HANDED]:  # 3
        patience_ends_at = max(handed_at) + CLAIM_PATIENCE_S
        if turn.now < patience_ends_at:
            turn.wake_by(patience_ends_at)
            return Idle()
    takers = [each for each in state.residents.values() if _may_take(state, each)]
    has_others = any(_waits_for_room(state, queue) for queue in state.view.waiting)
    asked = tuple(_oldest_first(state, takers))
    if asked:  # 4
        return Ask(asked, settles=is_at_rest or has_others)
    if is_at_rest and state.load is None:  # 5
        if state.plan.load is not None:
            return Idle()
        unpark_at = state.plan.look_at - UNPARK_S if has_others else math.inf
        if turn.now < unpark_at:
            turn.wake_by(unpark_at)
            return Park(frozenset(_known(state, takers)))
    listened = frozenset(name for each in takers for name in _all_names(state, each.queue))
    if not listened:
        return Idle()
    if has_others:  # 6
        ask_at = state.pulls.asked_at + ASK_EVERY_S
        if turn.now >= ask_at:
            return Ask(tuple(sorted(listened)), settles=has_others)
        turn.wake_by(ask_at)
        return Idle()
    return Park(listened)  # 7


def _may_take(state: State, resident: Resident) -> bool:
    queue = resident.queue
    is_open = not resident.is_closing and not is_loading(state, queue)
    can_repair = not resident.is_doubted or not (state.load or state.loads_by_itself)
    has_slot = state.running(queue) < state.slots
    return is_open and can_repair and has_slot and queue not in state.refused


def _waits_for_room(state: State, queue: str) -> bool:
    is_here = queue in state.residents or is_loading(state, queue)
    return not is_here and demand_of(state, queue) is not None


def _oldest_first(state: State, takers: Iterable[Resident]) -> Iterator[str]:
    """The Celery queues of these residents that have rows, and are not late."""
    late = state.pulls.late_since
    open_ = (demand_of(state, each.queue) for each in takers if each.queue not in late)
    waiting = [demand for demand in open_ if demand is not None]
    for demand in sorted(waiting, key=Demand.head_at):
        yield from names_of(state, demand.queue)


def names_of(state: State, queue: str) -> list[str]:
    """The Celery queues of a residency that have rows, in the order in which they are asked."""
    waiting = state.view.waiting.get(queue, ())
    demand = demand_of(state, queue)
    first = demand.class_to_take(state.now, state.setup.rules) if demand else JobClass.INTERACTIVE
    # Jobs that only this target may run come before those that others may take.
    ordered = sorted(waiting, key=lambda each: (each.job_class != first, not each.pinned_target))
    names = [each.name for each in ordered]
    # A view is a moment old: an interactive job that came since goes before a batch job, too.
    has_no_time = demand is not None and demand.is_batch_late(state.now, state.setup.rules)
    interactive = class_queue(queue, JobClass.INTERACTIVE)
    return names if has_no_time or interactive in names else [interactive, *names]


def _all_names(state: State, queue: str) -> set[str]:
    """Both classes of a residency, whether they have rows or not, and those that have."""
    rows = {each.name for each in state.view.waiting.get(queue, ())}
    return rows | {class_queue(queue, each) for each in JobClass}


def _known(state: State, takers: Iterable[Resident]) -> Iterator[str]:
    """All Celery queues that an idle target listens to.

    Not those of residencies that have rows and are not loaded: the rules serve them when they may
    be loaded, unless their messages were missing. Nor of those that another target has loaded, or
    is loading.
    """
    elsewhere = state.view.elsewhere | state.view.loading_elsewhere
    for resident in takers:
        yield from _all_names(state, resident.queue)
    for queue, until in state.pulls.left_out.items():
        if until > state.now and queue not in state.refused:
            yield from (each.name for each in state.view.waiting.get(queue, ()))
    for model in state.view.models:
        queue = Residency(model).queue
        is_known = queue in state.residents or queue in state.view.waiting
        is_paused = state.paused_until.get(queue, LONG_AGO) > state.now
        if not (is_known or is_paused or queue in elsewhere or queue in state.refused):
            # What has rows that are none of this target's would only go back.
            yield from _all_names(state, queue) - state.view.names
