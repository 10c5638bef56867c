"""Promises and forecasts over one picture of the queues: when each is served, and why not now.

A generator that does nothing but compute, and yields wherever its caller may pause: the work grows
with the number of residencies and targets, and other requests must not wait for it.
"""

import math
from collections.abc import Generator, Mapping, Sequence

from foreman.core.queues import JobClass
from foreman.parsing import TargetSpec
from foreman.scheduling.bound import promised_by
from foreman.scheduling.forecast import Eta
from foreman.scheduling.prospect import (
    Promise,
    Prospect,
    QueueReport,
    ResidentReport,
    RunTimes,
    TargetReport,
)
from foreman.scheduling.room import room_of
from foreman.scheduling.values import LONG_AGO, VisitRules
from foreman.scheduling.visits import visit_swaps
from foreman.services.target_views import Having, Line, TargetView, idle_lines, lines_of, view_of
from foreman.store.queue_rows import QueueFacts, ResidentState, TargetState

Promises = Mapping[tuple[str, JobClass], Promise]

# Reports between two pauses.
REPORTS_AT_ONCE = 50
# The same time, read twice, differs by less than this; jobs that came so close count as one.
SAME_S = 0.5


def prospects(
    facts: QueueFacts,
    rules: VisitRules,
    specs: Sequence[TargetSpec],
    having: Having,
    promises: Promises,
) -> Generator[None, None, Prospect]:
    """All that is shown. `promises` are those made before: none grows while a job waits."""
    lines = lines_of(facts, having)
    stated = {spec.name: spec for spec in specs}
    views: dict[str, TargetView] = {}
    yield
    for state, others, swaps in _live(facts, rules):
        spec = stated.get(state.name)
        views[state.name] = view_of(state, others, lines, facts, rules, spec, visit_swaps=swaps)
        yield
    bare = Prospect([view.forecast for view in views.values()], facts.runs)
    kept: dict[tuple[str, JobClass], Promise] = {}
    drained: dict[str, float] = {}
    reports: list[QueueReport] = []
    states = _states_by_queue(facts)
    for line in lines + idle_lines(lines, facts, having):
        able = [views[name] for name in line.able if name in views]
        best, left_at = _soonest_promise(line.queue, able)
        if best is not None:
            kept.update(_promises(line, best, left_at, rules, facts.read_at, promises))
        first = None
        if line.jobs:
            first, last = bare.etas(line.queue, [0, line.jobs - 1])
            drained[line.queue] = last.p50_s
        at = states.get(line.queue, ())
        reports.append(_report(facts, line, able, best, kept, first, at))
        if len(reports) % REPORTS_AT_ONCE == 0:
            yield
    reports.sort(key=lambda each: (-max(each.oldest_wait_s.values(), default=0.0), each.queue))
    targets = [_target_report(each, stated.get(each.name)) for each in facts.targets]
    return Prospect(bare.targets, facts.runs, reports, targets, drained, kept)


def _live(facts: QueueFacts, rules: VisitRules) -> list[tuple[TargetState, set[str], float]]:
    """The targets that work, what the others of them have, and the loads that a visit lasts."""
    live = [each for each in facts.targets if each.is_live and not each.sick_reason]
    swaps = visit_swaps(rules.min_visit_swaps, _utilization(facts.runs, live))
    loaded = {state.name: {each.queue for each in state.residents} for state in live}
    return [
        (state, set().union(*(loaded[name] for name in loaded if name != state.name)), swaps)
        for state in live
    ]


def _utilization(runs: Mapping[str, RunTimes], live: Sequence[TargetState]) -> float:
    """The share of their time that the targets are at work, by what has ended of late."""
    slots = sum(each.slots for each in live)
    return min(1.0, sum(each.ends_per_s * each.mean_s for each in runs.values()) / max(slots, 1))


def _soonest_promise(queue: str, able: Sequence[TargetView]) -> tuple[TargetView | None, float]:
    """The target that a residency which is nowhere loaded comes to soonest at the latest.

    And when its newest visit ended, wherever that was.
    """
    best, best_s, left_at = None, math.inf, LONG_AGO
    for view in able:
        if queue in view.residents:
            return None, left_at
        away_s = view.away_s.get(queue)
        if away_s is None:
            continue
        left_at = max(left_at, view.demands[queue].left_at)
        if away_s < best_s:
            best, best_s = view, away_s
    return best, left_at


def _promises(
    line: Line,
    best: TargetView,
    left_at: float,
    rules: VisitRules,
    now: float,
    made: Promises,
) -> dict[tuple[str, JobClass], Promise]:
    """By class: until when its next visit starts."""
    queue = line.queue
    demand, turn, ahead = best.demands[queue], best.turn, best.ahead[queue]
    promises = {}
    for job_class, head_at in (
        (JobClass.INTERACTIVE, demand.interactive_at),
        (JobClass.BATCH, demand.batch_at),
    ):
        if head_at is not None:
            by = promised_by(rules, demand, job_class, now=now, turn=turn, ahead=ahead)
            key = (queue, job_class)
            promises[key] = _smaller(Promise(by, head_at, left_at), made.get(key))
    return promises


def _smaller(promise: Promise, before: Promise | None) -> Promise:
    if before is None or promise.by <= before.by:
        return promise
    is_same_job = promise.head_at - before.head_at < SAME_S
    was_away = before.left_at == LONG_AGO == promise.left_at
    is_same_wait = was_away or promise.left_at - before.left_at < SAME_S
    return before if is_same_job and is_same_wait else promise


def _states_by_queue(facts: QueueFacts) -> dict[str, list[tuple[str, bool]]]:
    """Where each resident is, and whether it is still loading."""
    states: dict[str, list[tuple[str, bool]]] = {}
    for target in facts.targets:
        for each in target.residents:
            states.setdefault(each.queue, []).append((target.name, each.is_loading))
    return states


def _report(
    facts: QueueFacts,
    line: Line,
    able: Sequence[TargetView],
    best: TargetView | None,
    kept: Promises,
    first: Eta | None,
    states: Sequence[tuple[str, bool]],
) -> QueueReport:
    queue, times = line.queue, facts.runs.get(line.queue)
    counts = {JobClass.INTERACTIVE: 0, JobClass.BATCH: 0}
    oldest: dict[JobClass, float] = {}
    for each in line.rows:
        counts[each.job_class] += each.count
        oldest[each.job_class] = max(each.wait_s, oldest.get(each.job_class, 0.0))
    is_foreseen = first is not None and first.p50_s != math.inf
    promises = [(each, kept[queue, each]) for each in oldest if (queue, each) in kept]
    return QueueReport(
        queue=queue,
        model=line.model,
        waiting=counts,
        oldest_wait_s=oldest,
        resident_on=[name for name, is_loading in states if not is_loading],
        loading_on=[name for name, is_loading in states if is_loading],
        run_p50_s=times.p50_s if times else None,
        run_p90_s=times.p90_s if times else None,
        swap_s={view.name: view.costs.swap_s(queue) for view in able},
        bound_s={each: max(0.0, promise.by - facts.read_at) for each, promise in promises},
        starts_p50_s=first.p50_s if first and is_foreseen else None,
        starts_p90_s=first.p90_s if first and is_foreseen else None,
        why=_why(line, able, best),
    )


def _why(line: Line, able: Sequence[TargetView], best: TargetView | None) -> str:
    if not able:
        return "no live target has its model"
    if not line.jobs:
        return "nothing of it waits"
    if best is None:
        for view in able:
            if (resident := view.residents.get(line.queue)) is not None:
                what = "it is being loaded" if resident.is_loading else "it is being served"
                return f"{view.name}: {what}"
        return "its jobs are for a target that is not live"
    loading = next((each.queue for each in best.residents.values() if each.is_loading), None)
    if loading is not None:
        return f"{best.name}: {loading} is being loaded"
    if before := best.ahead[line.queue]:
        return f"{best.name}: {before} others have gone unserved for longer"
    return f"{best.name}: it is next, once there is room for it"


def _target_report(state: TargetState, spec: TargetSpec | None) -> TargetReport:
    residents = spec.residents if spec else None
    memory_bytes = spec.memory_bytes if spec else None
    reports = [(each.is_loading, _resident_report(each)) for each in state.residents]
    return TargetReport(
        name=state.name,
        is_live=state.is_live,
        sick_reason=state.sick_reason,
        reason=state.reason,
        residents=[each for is_loading, each in reports if not is_loading],
        loading=[each for is_loading, each in reports if is_loading],
        room=room_of(state.room, residents=residents, memory_bytes=memory_bytes),
        lingers=state.lingers.ended,
        lingers_answered=state.lingers.answered,
        linger_wasted_s=state.lingers.wasted_s,
    )


def _resident_report(each: ResidentState) -> ResidentReport:
    return ResidentReport(
        queue=each.queue,
        model=each.model,
        size_bytes=each.size_bytes,
        is_pinned=each.is_pinned,
        since_s=each.dwell_s,
        running=each.running,
    )
