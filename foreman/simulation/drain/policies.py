"""The policies that are compared: ours, the same without its parts, and two from the field."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from foreman.core.arrivals import Arrival
from foreman.core.drain import Action, Line, Rules, class_to_take, decide, left_alone_s
from foreman.simulation.drain.fleet import Fleet, SimulatedTarget

# A look arranged for the same instant would be arranged again and again.
SHORTEST_LOOK_S = 1e-6


@dataclass(frozen=True, slots=True)
class Swap:
    """Go over to another residency; nothing runs."""

    queue: str
    cause: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until the next event, or until this many seconds have gone by."""

    look_in_s: float = math.inf


Step = Arrival | Swap | Rest
RESTED = Rest()


class Policy(Protocol):
    """Decides for one target with a free slot at a time: take this job, swap, or rest."""

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        """A job has come; the fleet has it among the waiting already."""

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        """What the target does now."""


class Drain:
    """`core.drain.decide`, asked as a worker asks it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        """Nothing to remember: the fleet's lines are all that the policy sees."""

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        lines = _lines(target, fleet)
        decision = decide(
            rules=self._rules,
            resident=target.resident,
            dwell_s=fleet.now - target.visit_at,
            running=target.running,
            lines=lines,
            swap_in_s=target.swap_in_s,
            visit_jobs=target.visit_jobs,
        )
        target.is_closing = decision.action is Action.CLOSE
        if decision.action is Action.SWAP:
            return Swap(decision.queue or "", decision.cause or "")
        if decision.action is Action.TAKE:
            own = next((each for each in lines if each.queue == target.resident), None)
            if own is not None:
                return fleet.waiting[own.queue].line(class_to_take(own, self._rules))[0]
        if decision.action is Action.LISTEN and lines:
            left_s = min(left_alone_s(each, self._rules) for each in lines)
            return Rest(max(left_s, SHORTEST_LOOK_S))
        return RESTED


def _lines(target: SimulatedTarget, fleet: Fleet) -> list[Line]:
    others = fleet.others(target) if len(fleet.targets) > 1 else ()
    loading = {each.loading for each in others}
    loaded = {each.resident for each in others if not each.is_closing}
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


class Fifo:
    """Strictly in order of arrival, over all targets; what is loaded elsewhere runs there."""

    def __init__(self) -> None:
        self._line: deque[Arrival] = deque()

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        self._line.append(job)

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        if not self._line:
            return RESTED
        queue = self._line[0].queue
        if queue == target.resident:
            return self._line.popleft()
        if target.running or any(
            each.loading == queue or (each.resident == queue and each.has_free_slot)
            for each in fleet.others(target)
        ):
            return RESTED
        return Swap(queue, "drained" if target.resident else "first")


class OllamaLike:
    """What Ollama does by itself, one model loaded at a time.

    Requests for the loaded model go straight to it, past those that wait for another one; the
    others wait in one line, and its first is loaded when nothing of the loaded model is left. A
    job goes to the target with the fewest jobs, for good, as behind a load balancer.
    """

    def __init__(self) -> None:
        self._direct: dict[int, deque[Arrival]] = {}
        self._pending: dict[int, deque[Arrival]] = {}

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        for each in fleet.targets:
            self._direct.setdefault(each.number, deque())
            self._pending.setdefault(each.number, deque())
        target = min(fleet.targets, key=lambda each: (self._jobs(each), each.number))
        is_loaded = job.queue in (target.resident, target.loading)
        (self._direct if is_loaded else self._pending)[target.number].append(job)

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        direct = self._direct.get(target.number, deque())
        pending = self._pending.get(target.number, deque())
        while pending and pending[0].queue == target.resident:
            direct.append(pending.popleft())
        if direct:
            return direct.popleft()
        if pending and not target.running:
            return Swap(pending[0].queue, "drained" if target.resident else "first")
        return RESTED

    def _jobs(self, target: SimulatedTarget) -> int:
        lines = self._direct[target.number], self._pending[target.number]
        return target.running + sum(map(len, lines))


def _without_bound(rules: Rules) -> Policy:
    return Drain(replace(rules, max_wait_interactive_s=math.inf, max_wait_batch_s=math.inf))


POLICIES: dict[str, Callable[[Rules], Policy]] = {
    "fifo": lambda rules: Fifo(),
    "ollama": lambda rules: OllamaLike(),
    "drain": _without_bound,
    "naive": lambda rules: Drain(replace(rules, kappa=0.0)),
    "ours": Drain,
}
