"""How each live target sees what waits: the values that its rules, and so its forecasts, work on.

All of this grows with residencies times targets, so what is the same for all targets is made once.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from foreman.core.outlook import Costs
from foreman.core.queues import JobClass, queue_model
from foreman.core.waiting import Waiting
from foreman.parsing import TargetSpec
from foreman.scheduling.bound import Turn, count_ahead, longest_turn
from foreman.scheduling.forecast import WaitingWork, foresee
from foreman.scheduling.prospect import PRIOR_RUN, TargetForecast
from foreman.scheduling.room import room_of
from foreman.scheduling.values import Demand, Resident, VisitRules
from foreman.store.queue_rows import QueueFacts, ResidentState, TargetState

Having = Callable[[str], Collection[str]]  # the targets that have a model


@dataclass(frozen=True, slots=True)
class Heads:
    """Rows of one residency: when the oldest of each class came, and how many jobs there are."""

    interactive_at: float | None
    batch_at: float | None
    jobs: int


@dataclass(frozen=True, slots=True)
class Line:
    """What waits of one residency."""

    queue: str
    model: str
    rows: Sequence[Waiting]
    able: Collection[str]  # targets that have its model
    jobs: int
    heads: Heads  # of what any target may run
    pinned: Mapping[str, Heads]  # by target, where rows are for it alone; the others' too
    run_s: float
    arrives_per_s: float

    def heads_on(self, target: str) -> Heads:
        return self.pinned.get(target, self.heads)


@dataclass(frozen=True, slots=True)
class TargetView:
    """One live target: what it has, what may come there, and what it makes of that."""

    name: str
    costs: Costs
    residents: Mapping[str, ResidentState]  # loading ones too
    demands: Mapping[str, Demand]
    turn: Turn
    ahead: Mapping[str, int]  # by queue: residencies that are loaded before it
    away_s: Mapping[str, float]  # by queue: the longest until a load here, once it is overdue
    forecast: TargetForecast


def lines_of(facts: QueueFacts, having: Having) -> list[Line]:
    """What waits, by residency."""
    rows: dict[str, list[Waiting]] = defaultdict(list)
    for each in facts.waiting:
        rows[each.queue].append(each)
    return [_line(queue, of_it, having(of_it[0].model), facts) for queue, of_it in rows.items()]


def idle_lines(known: Sequence[Line], facts: QueueFacts, having: Having) -> list[Line]:
    """Lines of the residents that nothing waits for."""
    queues = {line.queue for line in known}
    idle = {
        each.queue: each.model or queue_model(each.queue) or each.queue
        for target in facts.targets
        for each in target.residents
        if each.queue not in queues
    }
    none = Heads(None, None, 0)
    return [
        Line(queue, model, (), having(model), 0, none, {}, 0.0, 0.0)
        for queue, model in idle.items()
    ]


def _line(queue: str, rows: Sequence[Waiting], able: Collection[str], facts: QueueFacts) -> Line:
    now, times = facts.read_at, facts.runs.get(queue, PRIOR_RUN)
    names = {each.pinned_target for each in rows if each.pinned_target is not None}
    shared = [each for each in rows if each.pinned_target is None] if names else rows
    pinned = {
        name: _heads([each for each in rows if each.pinned_target in (None, name)], now)
        for name in names
    }
    heads = _heads(shared, now)
    jobs = sum(each.count for each in rows)
    model, run_s = rows[0].model, times.mean_s
    return Line(queue, model, rows, able, jobs, heads, pinned, run_s, times.ends_per_s)


def _heads(rows: Sequence[Waiting], now: float) -> Heads:
    interactive_at: float | None = None
    batch_at: float | None = None
    jobs = 0
    for each in rows:
        jobs += each.count
        came_at = now - each.wait_s
        if each.job_class is JobClass.BATCH:
            batch_at = came_at if batch_at is None else min(came_at, batch_at)
        else:
            interactive_at = came_at if interactive_at is None else min(came_at, interactive_at)
    return Heads(interactive_at, batch_at, jobs)


def view_of(
    state: TargetState,
    others: Collection[str],
    lines: Sequence[Line],
    facts: QueueFacts,
    rules: VisitRules,
    spec: TargetSpec | None,
    *,
    visit_swaps: float,
) -> TargetView:
    """One live target's view; `others` is what other live targets have loaded or are loading."""
    now, name, costs = facts.read_at, state.name, Costs(state.costs)
    residents = {each.queue: each for each in state.residents}
    demands: dict[str, Demand] = {}
    backlogs: list[WaitingWork] = []
    for line in lines:
        heads = line.heads_on(name) if line.pinned else line.heads
        if not heads.jobs or name not in line.able:
            continue
        queue = line.queue
        load_s, idle_s = costs.swap_and_idle_s(queue)
        demand = Demand(queue, heads.interactive_at, heads.batch_at, load_s, now - idle_s)
        demands[queue] = demand
        # What another target has loaded is served there, unless it is overdue.
        if queue not in others or queue in residents or demand.due_at(rules) <= now:
            backlogs.append(WaitingWork(demand, heads.jobs, line.run_s, line.arrives_per_s))
    for queue in residents.keys() - demands.keys():
        run_s = facts.runs.get(queue, PRIOR_RUN).mean_s
        backlogs.append(WaitingWork(Demand(queue, None, None, 0.0), 0, run_s))
    stays = foresee(
        rules,
        now,
        [_resident(each, costs, now) for each in state.residents],
        backlogs,
        places=_places(state, spec),
        slots=state.slots,
        visit_swaps=visit_swaps,
    )
    waiting_s = (demand.load_s for demand in demands.values())
    loads_s = chain(costs.known_s, waiting_s, map(costs.swap_s, residents))
    turn = longest_turn(rules, loads_s, places=spec.residents if spec else None)
    turn_s = turn.seconds
    ahead = count_ahead(demands.values(), residents.keys())
    away_s = {
        queue: (1 + before) * turn_s + demands[queue].load_s for queue, before in ahead.items()
    }
    forecast = TargetForecast(name, state.slots, stays)
    return TargetView(name, costs, residents, demands, turn, ahead, away_s, forecast)


def _resident(each: ResidentState, costs: Costs, now: float) -> Resident:
    load_s = costs.swap_s(each.queue)
    visit_at = now - each.dwell_s + (load_s if each.is_loading else 0.0)
    return Resident(each.queue, load_s, visit_at, running=each.running, is_loading=each.is_loading)


def _places(state: TargetState, spec: TargetSpec | None) -> int:
    """How many residents the target probably holds."""
    if spec is not None and spec.residents is not None:
        return spec.residents
    return max(room_of(state.room).seen_count, len(state.residents), 1)
