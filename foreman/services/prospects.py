"""Forecasts over one picture of the queues: when each is served, at the latest when, why not now.

Generators that do nothing but compute, and yield wherever their caller may pause: the work grows
with the number of residencies and targets, and other requests must not wait for it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from foreman.core.drain import Action, Decision, Line, Rules, decide, longest_visit_s, wait_bound_s
from foreman.core.forecast import Backlog, Standing, Stay, foresee
from foreman.core.outlook import Costs, line_beside
from foreman.core.prospect import INFINITE, PRIOR_RUN, Prospect, QueueReport, TargetForecast
from foreman.core.queues import JobClass, queue_model
from foreman.core.waiting import Waiting
from foreman.store.queue_rows import QueueFacts, TargetState

Having = Callable[[str], Collection[str]]  # the targets that have a model


@dataclass(frozen=True, slots=True)
class _View:
    """One live target: what it may serve, and what the policy decides there now."""

    state: TargetState
    costs: Costs
    backlogs: list[tuple[Line, int]]  # what waits for it, and how many jobs
    decision: Decision
    served: Collection[str]  # the residencies that it may visit
    visits_s: float  # the longest visits to all of these together


def prospects(facts: QueueFacts, rules: Rules, having: Having) -> Generator[None, None, Prospect]:
    """All forecasts that are shown."""
    waiting: dict[str, list[Waiting]] = defaultdict(list)
    for each in facts.waiting:
        waiting[each.queue].append(each)
    live = [each for each in facts.targets if each.is_live and not each.sick_reason]
    views: list[_View] = []
    forecasts: list[TargetForecast] = []
    for state in live:
        view = yield from _view(state, live, waiting, rules, having)
        usual = yield from _stays(view, facts, rules, is_p90=False)
        slow = yield from _stays(view, facts, rules, is_p90=True)
        views.append(view)
        forecasts.append(TargetForecast(state.name, state.slots, usual, slow))
    bare = Prospect(forecasts, facts.runs)
    drained = yield from _drained_s(bare, waiting)
    reports = yield from _reports(bare, facts, waiting, views, rules, having)
    return Prospect(forecasts, facts.runs, reports, drained)


def _view(
    state: TargetState,
    live: Sequence[TargetState],
    waiting: dict[str, list[Waiting]],
    rules: Rules,
    having: Having,
) -> Generator[None, None, _View]:
    costs = Costs(state.costs)
    others = [each for each in live if each.name != state.name]
    resident_elsewhere = {each.resident_queue for each in others}
    loading_elsewhere = {each.loading_queue for each in others}
    served = {state.resident_queue} if state.resident_queue else set()
    backlogs: list[tuple[Line, int]] = []
    for queue, all_of_it in waiting.items():
        mine = [each for each in all_of_it if each.pinned_target in (None, state.name)]
        if not mine or state.name not in having(mine[0].model):
            continue
        served.add(queue)
        line = line_beside(
            queue,
            mine,
            costs,
            is_resident_elsewhere=queue in resident_elsewhere,
            is_loading_elsewhere=queue in loading_elsewhere,
        )
        if line is not None:
            backlogs.append((line, sum(each.count for each in mine)))
        yield
    decision = decide(
        rules=rules,
        resident=state.resident_queue,
        dwell_s=state.dwell_s,
        running=state.running,
        lines=[line for line, _ in backlogs],
        swap_in_s=costs.swap_s(state.resident_queue or ""),
    )
    visits_s = sum(longest_visit_s(rules, costs.swap_s(queue)) for queue in served)
    return _View(state, costs, backlogs, decision, served, visits_s)


def _stays(
    view: _View, facts: QueueFacts, rules: Rules, *, is_p90: bool
) -> Generator[None, None, list[Stay]]:
    state = view.state
    standing = Standing(
        state.resident_queue,
        state.dwell_s,
        view.costs.swap_s(state.resident_queue or ""),
        state.running,
        state.slots,
    )
    backlogs = [
        Backlog(line, count, facts.runs.get(line.queue, PRIOR_RUN).at(is_p90=is_p90))
        for line, count in view.backlogs
    ]
    stays: list[Stay] = []
    for stay in foresee(rules, standing, backlogs):
        stays.append(stay)
        yield
    return stays


def _drained_s(
    prospect: Prospect, waiting: dict[str, list[Waiting]]
) -> Generator[None, None, dict[str, float]]:
    drained: dict[str, float] = {}
    for queue, all_of_it in waiting.items():
        last = sum(each.count for each in all_of_it) - 1
        starts_s = prospect.eta_s(queue, last, is_p90=False)
        drained[queue] = INFINITE if starts_s is None else starts_s
        yield
    return drained


def _reports(
    prospect: Prospect,
    facts: QueueFacts,
    waiting: dict[str, list[Waiting]],
    views: Sequence[_View],
    rules: Rules,
    having: Having,
) -> Generator[None, None, list[QueueReport]]:
    """Every residency that has work or is loaded, the longest wait first."""
    resident = {each.resident_queue for each in facts.targets if each.resident_queue}
    reports: list[QueueReport] = []
    for queue in resident | waiting.keys():
        all_of_it = waiting.get(queue, [])
        model = all_of_it[0].model if all_of_it else queue_model(queue) or queue
        names = having(model)
        able = [view for view in views if view.state.name in names]
        reports.append(_report(prospect, facts, queue, model, all_of_it, able, rules))
        yield
    return sorted(reports, key=lambda each: (-max(each.oldest_wait_s.values(), default=0.0),
                                             each.queue))  # fmt: skip


def _report(
    prospect: Prospect,
    facts: QueueFacts,
    queue: str,
    model: str,
    waiting: Sequence[Waiting],
    able: Sequence[_View],
    rules: Rules,
) -> QueueReport:
    times = facts.runs.get(queue)
    counts: dict[JobClass, int] = defaultdict(int)
    oldest: dict[JobClass, float] = {}
    for each in waiting:
        counts[each.job_class] += each.count
        oldest[each.job_class] = max(each.wait_s, oldest.get(each.job_class, 0.0))
    return QueueReport(
        queue=queue,
        model=model,
        waiting={each: counts[each] for each in JobClass},
        oldest_wait_s=oldest,
        resident_on=[t.name for t in facts.targets if t.resident_queue == queue],
        loading_on=[t.name for t in facts.targets if t.loading_queue == queue],
        run_p50_s=times.p50_s if times else None,
        run_p90_s=times.p90_s if times else None,
        swap_s={view.state.name: view.costs.swap_s(queue) for view in able},
        starts_p50_s=prospect.eta_s(queue, 0, is_p90=False) if waiting else None,
        starts_p90_s=prospect.eta_s(queue, 0, is_p90=True) if waiting else None,
        bound_s=dict(_bounds(queue, able, rules)),
        why=_why(queue, able, is_waiting=bool(waiting)),
    )


def _bounds(queue: str, able: Sequence[_View], rules: Rules) -> Iterator[tuple[JobClass, float]]:
    for job_class in JobClass if able else ():
        yield job_class, min(_bound_s(queue, view, rules, job_class) for view in able)


def _bound_s(queue: str, view: _View, rules: Rules, job_class: JobClass) -> float:
    swap_s = view.costs.swap_s(queue)
    own_s = longest_visit_s(rules, swap_s) if queue in view.served else 0.0
    alone_s = wait_bound_s(rules, job_class, swap_s=swap_s, others_swap_s=())
    return alone_s + view.visits_s - own_s


def _why(queue: str, able: Sequence[_View], *, is_waiting: bool) -> str:
    if not able:
        return "no live target has its model"
    if not is_waiting:
        return "nothing of it waits"
    return "; ".join(f"{view.state.name}: {_reason(view, queue)}" for view in able)


def _reason(view: _View, queue: str) -> str:
    state, decision = view.state, view.decision
    if state.loading_queue is not None:
        is_this = state.loading_queue == queue
        return "it is being loaded" if is_this else f"{state.loading_queue} is being loaded"
    if decision.action is Action.TAKE and state.resident_queue == queue:
        return "it is being served"
    if decision.action is Action.TAKE:
        return f"serves {state.resident_queue}: {decision.reason}"
    return decision.reason
