"""Loads: begun by a plan, ended by what the target then says that it has loaded."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from foreman.core.queues import Residency
from foreman.core.residents import LoadRow
from foreman.errors import LoadFailed, LoadRefused
from foreman.scheduling.values import Cause, PlannedLoad
from foreman.worker.effects import (
    INFO,
    WARNING,
    LoadModel,
    Log,
    Proceed,
    RecordLoad,
    TellLoading,
)
from foreman.worker.events import Loaded, LoadEnded
from foreman.worker.state import LONG_AGO, Load, LoadStage, Resident, Stage, State
from foreman.worker.steps import rhythm
from foreman.worker.steps.turn import Turn

REPAIR = "repair"
# After a failed load the residency pauses, so that it does not keep the others waiting.
PAUSE_S, PAUSE_LIMIT_S = 1.0, 30.0
# Of a pinned model that no job waits for: after a failed load, and after one that went well. It may
# be gone at once, or be listed by another name.
PIN_FAILED_PAUSE_S, PIN_PAUSE_S = 60.0, 10.0


def begin(turn: Turn, planned: PlannedLoad, pins: Mapping[str, str]) -> None:
    """Begin the load of a plan: with the first job of its residency, or as the pin that it is.

    `pins` are the models of pinned residencies that are missing, by queue.
    """
    state = turn.state
    assert state.lease is not None  # else there is no plan
    load = Load(
        planned.queue,
        planned.cause,
        planned.reason,
        LoadStage.PULLING,
        turn.now,
        planned.victims,
        planned.may_go,
    )
    turn.do(
        TellLoading(state.lease, planned.queue, planned.reason),
        Log(INFO, "load", {"queue": load.queue, "cause": load.cause, "reason": load.reason}),
    )
    if planned.cause is not Cause.PINNED:
        turn.change(load=load)
        return
    model = pins[planned.queue]
    turn.change(load=replace(load, stage=LoadStage.LOADING, model=model))
    turn.do(
        LoadModel(
            lease=state.lease,
            queue=planned.queue,
            residency=Residency(model),
            victims=models_of(state, planned.victims),
            may_go=models_of(state, planned.may_go),
            keep_alive_s=keep_alive_s(turn, model),
        )
    )


def models_of(state: State, queues: Iterable[str]) -> tuple[str, ...]:
    """The models of these residents, in the same order."""
    residents = state.residents
    return tuple(residents[queue].model for queue in queues if queue in residents)


def keep_alive_s(turn: Turn, model: str) -> float:
    """For how long a kept model is to stay loaded without another use; infinite: for good."""
    setup = turn.state.setup
    return math.inf if model in setup.pinned else setup.keep_embeddings_s


def tend(turn: Turn) -> None:
    """Give up a load whose first job cannot be taken any more; nothing of it has begun."""
    state, load = turn.state, turn.state.load
    if load is None or load.stage is not LoadStage.PULLING:
        return
    has_rows = load.queue in state.view.waiting
    if not state.serves or not has_rows or load.queue in state.refused:
        give_up(turn)


def give_up(turn: Turn) -> None:
    """The load is not made after all."""
    lease, load = turn.state.lease, turn.state.load
    turn.change(load=None, changed_at=turn.now)
    if lease is not None and load is not None:
        turn.do(TellLoading(lease, None, load.reason))


def on_loaded(turn: Turn, event: Loaded) -> None:
    """The residency is there; who else is, the target has said."""
    load = turn.state.load
    if load is None or event.lease != turn.state.lease or load.queue != event.queue:
        return
    is_repair = load.cause is None and event.was_loaded
    gone = _leave(turn, load, event.after)
    _learn(turn, event, gone)
    old = turn.state.residents.get(load.queue)
    size_bytes = (event.after or {}).get(load.model, 0)
    if old is not None:
        load_s = old.load_s if event.was_loaded else event.cost_s
        turn.put_resident(
            replace(old, is_doubted=False, unloads=False, load_s=load_s, size_bytes=size_bytes)
        )
    else:
        load_s = None if event.was_loaded else event.cost_s
        new = Resident(load.queue, load.model, turn.now, load_s, size_bytes=size_bytes)
        turn.put_resident(replace(new, is_pinned=load.model in turn.state.view.kept))
        _count_job(turn, load)
    failures = {queue: n for queue, n in turn.state.failures.items() if queue != load.queue}
    turn.change(load=None, failures=failures, loaded_at=turn.now, changed_at=turn.now)
    if load.cause is Cause.PINNED:
        _pause_pin(turn, load.queue, PIN_PAUSE_S)
    if not is_repair:
        _record(turn, load, gone, cost_s=event.cost_s, was_loaded=event.was_loaded)
    _release_job(turn, load)


def on_load_ended(turn: Turn, event: LoadEnded) -> None:
    """The load has failed; what is loaded now has to be seen.

    After a load that the target refused, and on its last attempt after any failed load, the job
    goes on: the target's own answer to the request is what its client gets. Until it has ended
    nothing else is loaded (`State.loads_by_itself`).
    """
    state, load, error = turn.state, turn.state.load, event.error
    if load is None or state.lease is None or event.lease != state.lease:
        return
    if load.queue != event.queue:
        return
    turn.change(load=None, loaded_at=turn.now, changed_at=turn.now, observe_at=LONG_AGO)
    for queue in (load.queue, *load.victims, *load.may_go):
        turn.change_resident(queue, is_doubted=True)
    job = None if load.tag is None else state.jobs.get(load.tag)
    if load.cause is Cause.PINNED:
        _pause_pin(turn, load.queue, PIN_FAILED_PAUSE_S)
    elif isinstance(error, LoadFailed):
        _pause(turn, load)
    turn.do(Log(WARNING, "load failed", {"queue": load.queue, "error": str(error)}))
    turn.do(TellLoading(state.lease, None, str(error)))
    _record(turn, load, (), cost_s=None, was_loaded=False)
    if job is not None:
        is_last = job.attempts_left == 0 and isinstance(error, LoadFailed)
        goes_on = is_last or isinstance(error, LoadRefused)
        turn.put_job(replace(job, stage=Stage.RUNNING, since=turn.now))
        turn.do(Proceed(job.tag, None if goes_on else error))


def leave(turn: Turn, queue: str) -> Resident | None:
    """A residency is not loaded any more: its visit is over."""
    resident = turn.state.residents.get(queue)
    if resident is None:
        return None
    rhythm.linger_ended(turn, resident)
    residents = dict(turn.state.residents)
    ended = residents.pop(queue)
    turn.change(residents=residents, left_at={**turn.state.left_at, queue: turn.now})
    return ended


def _leave(turn: Turn, load: Load, after: Mapping[str, int] | None) -> tuple[Resident, ...]:
    """End the visits of what is not listed; of the victims, where the target does not say."""
    gone = []
    for each in list(turn.state.residents.values()):
        if each.queue == load.queue:
            continue
        is_same_model = each.model == load.model
        is_gone = each.queue in load.victims if after is None else each.model not in after
        if is_gone or is_same_model:
            if each.is_pinned and not is_same_model:
                facts = {"model": each.model, "for": load.queue}
                turn.do(Log(WARNING, "kept model was unloaded to make room", facts))
            ended = leave(turn, each.queue)
            gone.extend([ended] if ended else [])
    return tuple(gone)


def _learn(turn: Turn, event: Loaded, gone: tuple[Resident, ...]) -> None:
    """What stayed and what went tells how much room there is."""
    if event.after is None:
        return
    load = turn.state.load
    assert load is not None
    queues = {each.model: each.queue for each in (*turn.state.residents.values(), *gone)}
    queues[load.model] = load.queue
    named = [
        {queues.get(model, Residency(model).queue): size for model, size in listed.items()}
        for listed in (event.before or {}, event.after)
    ]
    room = turn.state.room
    has_before = event.before is not None and not event.was_loaded
    learned = room.learned(named[0], load.queue, named[1]) if has_before else room.seen(named[1])
    turn.change(room=learned)


def _count_job(turn: Turn, load: Load) -> None:
    """The job that a load was made for is the first one of the visit."""
    if load.tag in turn.state.jobs:
        turn.change_resident(load.queue, jobs=1)


def _release_job(turn: Turn, load: Load) -> None:
    job = None if load.tag is None else turn.state.jobs.get(load.tag)
    if job is not None:
        turn.put_job(replace(job, stage=Stage.RUNNING, since=turn.now))
        turn.do(Proceed(job.tag))


def _record(
    turn: Turn,
    load: Load,
    gone: tuple[Resident, ...],
    *,
    cost_s: float | None,
    was_loaded: bool,
) -> None:
    assert turn.state.lease is not None  # checked by the callers
    row = LoadRow(
        queue=load.queue,
        model=load.model,
        unloaded=tuple(each.queue for each in gone),
        reason=REPAIR if load.cause is None else load.cause.value,
        cost_s=cost_s,
        was_loaded=was_loaded,
        head_wait_s=load.head_wait_s,
        jobs_served=sum(each.jobs for each in gone),
        lingers=sum(each.lingers for each in gone),
        lingers_answered=sum(each.lingers_answered for each in gone),
        linger_wasted_s=sum(each.linger_wasted_s for each in gone),
    )
    turn.do(RecordLoad(turn.state.lease, row))


def _pause(turn: Turn, load: Load) -> None:
    failed = turn.state.failures.get(load.queue, 0)
    pause_s = min(PAUSE_S * 2**failed, PAUSE_LIMIT_S)
    turn.change(
        failures={**turn.state.failures, load.queue: failed + 1},
        paused_until={**turn.state.paused_until, load.queue: turn.now + pause_s},
    )


def _pause_pin(turn: Turn, queue: str, pause_s: float) -> None:
    paused = {**turn.state.pins_paused_until, queue: turn.now + pause_s}
    turn.change(pins_paused_until=paused)
