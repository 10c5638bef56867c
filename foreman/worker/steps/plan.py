"""From the state to what the rules look at, and from their plan to what is done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from foreman.core.queues import JobClass, Residency
from foreman.core.waiting import Waiting
from foreman.scheduling import policy, values
from foreman.scheduling.rhythm import NO_RHYTHM
from foreman.scheduling.room import Fit, Room
from foreman.scheduling.values import Demand, PlannedLoad, Sight
from foreman.scheduling.visits import visit_swaps
from foreman.worker.effects import ERROR, Log
from foreman.worker.state import LONG_AGO, LoadStage, Resident, State
from foreman.worker.steps import loads, looks
from foreman.worker.steps.messages import judge_held, leave_out
from foreman.worker.steps.turn import Turn

# Rows of a resident at rest wait, and their messages are on their way: to wait for them costs less
# than to swap and to come back.
LATE_S = 1.0


def decide(turn: Turn) -> None:
    """Make a plan, and begin what it says."""
    if not turn.state.serves or turn.state.view.at == LONG_AGO:
        judge_held(turn)
        return
    _give_up_late(turn)
    state, pins = turn.state, _missing_pins(turn.state)
    seen = _seen_by_plan(state)
    plan = state.plan
    if turn.now >= plan.look_at or not _is_same(seen, state.plan_saw):
        sight = sight_of(state, list(demands_of(state)), pins)
        plan = policy.decide(state.setup.rules, sight)
        for queue in plan.stuck - state.plan.stuck:
            turn.do(
                Log(ERROR, "model can never be loaded next to the pinned ones", {"queue": queue})
            )
        turn.change(plan=plan, plan_saw=seen)
    turn.wake_by(plan.look_at)
    _mark(turn, plan)
    if plan.load is not None and state.load is None and not state.loads_by_itself:
        if state.view.at >= _fresh_at(state, plan.load):
            loads.begin(turn, plan.load, pins)
        else:
            looks.look(turn, is_needed=True)
    judge_held(turn)
    if turn.state.held is not None:
        looks.look(turn, is_needed=True)


def _seen_by_plan(state: State) -> tuple[object, ...]:
    """What a plan holds for until it is time to look again; every view makes a new one."""
    return (
        state.view,
        state.residents,
        state.load,
        state.left_at,
        state.room,
        state.pulls.left_out,
        state.paused_until,
        state.pins_paused_until,
        state.refused,
        tuple(state.running(queue) for queue in state.residents),
    )


def _is_same(seen: Sequence[object], before: Sequence[object]) -> bool:
    """Values that are replaced whenever they change need no comparing."""
    if len(seen) != len(before) or seen[-1] != before[-1]:
        return False
    return all(one is other for one, other in zip(seen[:-1], before[:-1], strict=True))


def _fresh_at(state: State, load: PlannedLoad) -> float:
    """No visit ends by a view older than its last answer, and nothing is loaded by one older than
    what else it has to show.

    The ends of other residents' jobs do not count: short ones would put a load off for ever.
    """
    gone = (state.residents[queue].answered_at for queue in (*load.victims, *load.may_go))
    return max(state.changed_at, *gone, LONG_AGO)


def sight_of(state: State, demands: Sequence[Demand], pins: Mapping[str, str]) -> Sight:
    """What the rules look at."""
    sizes = state.view.sizes
    expected = {
        each.queue: sizes[model]
        for each in demands
        if (model := _model(state, each.queue)) in sizes
    }
    expected |= {queue: sizes[model] for queue, model in pins.items() if model in sizes}
    room = state.room.expecting(expected)
    return Sight(
        state.now,
        _with_pins(state, room, list(_residents(state)), demands),
        demands,
        room,
        visit_swaps(state.setup.rules.min_visit_swaps, state.utilization),
        tuple(pins),
        state.linger_credit,
    )


def _with_pins(
    state: State, room: Room, residents: list[values.Resident], demands: Sequence[Demand]
) -> list[values.Resident]:
    """Let the pins go that nobody asked for, where they would keep somebody out for good.

    An embedding model in use is kept next to others, and not instead of them.
    """
    pinned = [each.queue for each in residents if each.is_pinned]
    loaded = {each.queue for each in residents}
    others = (each.queue for each in demands if each.queue not in loaded)
    if not pinned or all(room.fit([*pinned, each]) is not Fit.EXCEEDS for each in others):
        return residents
    asked_for = {Residency(model).queue for model in state.setup.pinned}
    return [replace(each, is_pinned=each.queue in asked_for) for each in residents]


def _residents(state: State) -> Iterator[values.Resident]:
    load = state.load
    for each in state.residents.values():
        if load is not None and each.queue in load.victims:
            continue  # it is being unloaded
        is_loading = load is not None and each.queue == load.queue
        yield _seen(state, each, is_loading=is_loading)
    if load is not None and load.queue not in state.residents:
        load_s = state.view.costs.swap_s(load.queue)
        loading = Resident(load.queue, load.model, max(state.now, load.since + load_s), load_s)
        yield _seen(state, loading, is_loading=True)


def _seen(state: State, each: Resident, *, is_loading: bool) -> values.Resident:
    return values.Resident(
        each.queue,
        state.view.costs.swap_s(each.queue) if each.load_s is None else each.load_s,
        each.visit_at,
        state.running(each.queue),
        each.jobs,
        each.answered_at,
        state.rhythms.get(each.queue, NO_RHYTHM),
        each.is_pinned,
        each.is_closing,
        is_loading,
    )


def demands_of(state: State) -> Iterator[Demand]:
    """What waits for this target, without what is left out for now."""
    for queue in state.view.waiting:
        if (demand := demand_of(state, queue)) is not None:
            yield demand


def demand_of(state: State, queue: str) -> Demand | None:
    """What waits of one residency; None: nothing that counts now."""
    waiting = state.view.waiting.get(queue, ())
    is_left_out = state.pulls.left_out.get(queue, LONG_AGO) > state.now
    is_paused = state.paused_until.get(queue, LONG_AGO) > state.now
    if not waiting or is_left_out or is_paused or queue in state.refused:
        return None
    is_other = queue not in state.residents
    if not is_other or not (state.view.elsewhere or state.view.loading_elsewhere):
        return _demand(state, queue, waiting, is_elsewhere=False)
    own = [each for each in waiting if each.pinned_target]
    is_elsewhere = is_other and queue in state.view.elsewhere
    is_loading_elsewhere = is_other and queue in state.view.loading_elsewhere
    if own and (is_elsewhere or is_loading_elsewhere):
        # What no other target may take is left to nobody, and then it is all that counts.
        return _demand(state, queue, own, is_elsewhere=False)
    if is_loading_elsewhere:
        return None
    return _demand(state, queue, waiting, is_elsewhere=is_elsewhere)


def _demand(state: State, queue: str, waiting: Sequence[Waiting], *, is_elsewhere: bool) -> Demand:
    """It is asked for several times a step, and changes with the view or a visit's end alone."""
    key = queue, len(waiting), state.left_at.get(queue), is_elsewhere
    known = state.view.demands.get(key)
    if known is None:
        known = _new_demand(state, queue, waiting, is_elsewhere=is_elsewhere)
        state.view.demands[key] = known
    return known


def _new_demand(
    state: State, queue: str, waiting: Sequence[Waiting], *, is_elsewhere: bool
) -> Demand:
    heads: dict[JobClass, float] = {}
    for each in waiting:
        came_at = state.view.at - each.wait_s
        heads[each.job_class] = min(came_at, heads.get(each.job_class, came_at))
    costs = state.view.costs
    left_at = state.left_at.get(queue, state.view.at - costs.idle_s(queue))
    return Demand(
        queue,
        heads.get(JobClass.INTERACTIVE),
        heads.get(JobClass.BATCH),
        costs.swap_s(queue),
        left_at,
        is_elsewhere,
        jobs=sum(each.count for each in waiting),
    )


def _missing_pins(state: State) -> dict[str, str]:
    """The models to be kept that are not loaded, by queue."""
    loaded = {each.model for each in state.residents.values()}
    if state.load is not None:
        loaded.add(state.load.model)
    wanted = state.view.kept & state.view.models
    missing = {Residency(model).queue: model for model in wanted - loaded}
    return {
        queue: model
        for queue, model in missing.items()
        if state.pins_paused_until.get(queue, LONG_AGO) <= state.now and queue not in state.refused
    }


def _model(state: State, queue: str) -> str:
    waiting = state.view.waiting.get(queue)
    return waiting[0].model if waiting else ""


def _give_up_late(turn: Turn) -> None:
    """Rows of a resident at rest whose messages do not come: count them as not there."""
    for queue, since in list(turn.state.pulls.late_since.items()):
        if turn.state.running(queue):
            continue
        give_up_at = since + LATE_S
        if turn.now >= give_up_at:
            leave_out(turn, queue)
        else:
            turn.wake_by(give_up_at)


def _mark(turn: Turn, plan: values.Plan) -> None:
    """Close what the plan closes, and note who lingers."""
    load = turn.state.load
    closing = plan.closing | ({*load.victims, *load.may_go} if load else set())
    for each in list(turn.state.residents.values()):
        lingers_since = each.lingers_since
        if each.queue in plan.lingering:
            lingers_since = turn.now if lingers_since is None else lingers_since
        elif each.queue not in closing:
            lingers_since = None
        is_closing = each.queue in closing
        if (is_closing, lingers_since) != (each.is_closing, each.lingers_since):
            turn.put_resident(replace(each, is_closing=is_closing, lingers_since=lingers_since))


def is_loading(state: State, queue: str) -> bool:
    """Whether the target is at the load of this residency, or is about to be."""
    return state.load is not None and state.load.queue == queue


def is_pulling(state: State) -> bool:
    """Whether a load waits for its first job's message."""
    return state.load is not None and state.load.stage is LoadStage.PULLING
