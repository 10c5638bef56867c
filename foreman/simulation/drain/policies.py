"""The policies that are compared: ours, the same without its parts, and three others."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from foreman.core.arrivals import Arrival
from foreman.core.drain import Action, Line, Rules, class_to_take, decide, left_alone_s
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.fleet import Fleet, OpenVisit, SimulatedTarget
from foreman.simulation.drain.ollama import OllamaLike
from foreman.simulation.drain.ours import Ours
from foreman.simulation.drain.steps import (
    RESTED,
    SHORTEST_LOOK_S,
    Bring,
    Indifferent,
    Policy,
    Rest,
    Step,
)

# What the single-resident policy takes where the visits follow the load in ours.
SINGLE_KAPPA = 10.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a policy is made from; `room` is what it knows of each target at the start."""

    rules: VisitRules
    room: Room


class Single(Indifferent):
    """`core.drain.decide`, one resident at a time: what workers run until they adopt ours."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        if target.loading is not None:
            return RESTED
        visit = _only(target)
        if visit is not None and visit.running >= target.slots:
            return RESTED
        lines = _lines(target, fleet)
        decision = decide(
            rules=self._rules,
            resident=visit.queue if visit else None,
            dwell_s=fleet.now - (visit.began_at if visit else 0.0),
            running=visit.running if visit else 0,
            lines=lines,
            swap_in_s=visit.load_s if visit else 0.0,
            visit_jobs=visit.jobs if visit else 0,
        )
        if visit is not None:
            visit.is_closing = decision.action is Action.CLOSE
        if decision.action is Action.SWAP:
            return _swap(target, decision.queue or "", decision.cause or "")
        if decision.action is Action.TAKE and visit is not None:
            own = next((each for each in lines if each.queue == visit.queue), None)
            if own is not None:
                return fleet.waiting[own.queue].line(class_to_take(own, self._rules))[0]
        if decision.action is Action.LISTEN and lines:
            left_s = min(left_alone_s(each, self._rules) for each in lines)
            return Rest(max(left_s, SHORTEST_LOOK_S))
        return RESTED


def _only(target: SimulatedTarget) -> OpenVisit | None:
    return next(iter(target.residents.values()), None)


def _swap(target: SimulatedTarget, queue: str, cause: str) -> Bring:
    return Bring(queue, cause, victims=tuple(target.residents))


def _lines(target: SimulatedTarget, fleet: Fleet) -> list[Line]:
    others = fleet.others(target) if len(fleet.targets) > 1 else ()
    loading = {each.loading.queue for each in others if each.loading}
    loaded = {
        visit.queue for each in others for visit in each.residents.values() if not visit.is_closing
    }
    now, left_at, lines = fleet.now, target.left_at, []
    for queue, waiting in fleet.waiting.items():
        interactive, batch = waiting.interactive, waiting.batch
        if (interactive or batch) and queue not in loading:
            line = Line(
                queue,
                now - interactive[0].at if interactive else None,
                now - batch[0].at if batch else None,
                fleet.swap_s[queue],
                now - left_at.get(queue, -math.inf),
                queue in loaded,
            )
            lines.append(line)
    return lines


class Fifo(Indifferent):
    """Strictly in order of arrival, over all targets; what is loaded elsewhere runs there."""

    def __init__(self) -> None:
        self._line: deque[Arrival] = deque()

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        self._line.append(job)

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        if not self._line or target.loading is not None:
            return RESTED
        queue = self._line[0].queue
        if target.has_free_slot(queue):
            return self._line.popleft()
        if target.running or queue in target.residents:
            return RESTED
        for each in fleet.others(target):
            is_loading = each.loading is not None and each.loading.queue == queue
            if is_loading or each.has_free_slot(queue):
                return RESTED
        return _swap(target, queue, "drained" if target.residents else "first")


def _single(given: Given) -> Policy:
    rules, swaps = given.rules, given.rules.min_visit_swaps
    kappa = SINGLE_KAPPA if swaps is None else swaps
    waits = rules.max_wait_interactive_s, rules.max_wait_batch_s
    return Single(Rules(*waits, kappa, rules.job_limit_s))


def _without_bound(given: Given) -> Policy:
    endless = replace(given.rules, max_wait_interactive_s=math.inf, max_wait_batch_s=math.inf)
    return Ours(replace(endless, linger_s=0.0), given.room)


POLICIES: dict[str, Callable[[Given], Policy]] = {
    "fifo": lambda given: Fifo(),
    "ollama": lambda given: OllamaLike(),
    "drain": _without_bound,
    "naive": lambda given: Ours(replace(given.rules, min_visit_swaps=0.0), given.room),
    "single": _single,
    "ours": lambda given: Ours(given.rules, given.room),
}
