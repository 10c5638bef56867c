"""The policies that are compared: ours, the same without its parts, and two others."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from foreman.core.arrivals import Arrival
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.fleet import Fleet, SimulatedTarget
from foreman.simulation.drain.ollama import OllamaLike
from foreman.simulation.drain.ours import Ours
from foreman.simulation.drain.steps import RESTED, Bring, Indifferent, Policy, Step


@dataclass(frozen=True, slots=True)
class Given:
    """What a policy is made from; `room` is what it knows of each target at the start."""

    rules: VisitRules
    room: Room


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
        cause = "drained" if target.residents else "first"
        return Bring(queue, cause, victims=tuple(target.residents))


def _without_bound(given: Given) -> Policy:
    endless = replace(given.rules, max_wait_interactive_s=math.inf, max_wait_batch_s=math.inf)
    return Ours(replace(endless, linger_s=0.0), given.room)


POLICIES: dict[str, Callable[[Given], Policy]] = {
    "fifo": lambda given: Fifo(),
    "ollama": lambda given: OllamaLike(),
    "drain": _without_bound,
    "naive": lambda given: Ours(replace(given.rules, min_visit_swaps=0.0), given.room),
    "ours": lambda given: Ours(given.rules, given.room),
}
