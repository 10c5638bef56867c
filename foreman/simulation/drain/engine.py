"""Run arrivals through a policy: events in a heap, the time jumps from one to the next."""

import heapq
from collections.abc import Iterable, Mapping
from enum import IntEnum

from foreman.core.arrivals import Arrival
from foreman.simulation.drain.fleet import Fleet, SimulatedTarget
from foreman.simulation.drain.policies import Policy, Rest, Swap
from foreman.simulation.drain.tally import Tally


class _Kind(IntEnum):
    ENDED = 0  # a job
    LOADED = 1  # a residency
    LOOK = 2  # nothing happened; the policy asked to be asked again


class Engine:
    """One policy, one fleet, one run."""

    def __init__(
        self,
        policy: Policy,
        tally: Tally,
        swap_s: Mapping[str, float],
        *,
        targets: int = 1,
        slots: int = 1,
    ) -> None:
        numbers = range(targets)
        self._fleet = Fleet([SimulatedTarget(number, slots) for number in numbers], swap_s)
        self._policy = policy
        self._tally = tally
        self._events: list[tuple[float, int, _Kind, SimulatedTarget]] = []
        self._made = 0  # events; of two at the same time the older comes first

    def run(self, arrivals: Iterable[Arrival]) -> None:
        """Serve all `arrivals`, which come in order of time, to the last."""
        fleet, events = self._fleet, self._events
        for job in arrivals:
            while events and events[0][0] <= job.at:
                self._next_event()
            fleet.now = job.at
            fleet.add(job)
            self._policy.arrived(job, fleet)
            self._advance_all()
        while events:
            self._next_event()
        for target in fleet.targets:
            self._tally.visit_ended(target, fleet)
        self._tally.close(fleet)

    def _next_event(self) -> None:
        self._fleet.now, _, kind, target = heapq.heappop(self._events)
        if kind is _Kind.ENDED:
            target.running -= 1
            if not target.running:
                target.busy_s += self._fleet.now - target.busy_at
        elif kind is _Kind.LOADED:
            self._begin_visit(target)
        self._advance_all()

    def _advance_all(self) -> None:
        """Let the policy decide until nobody moves: what one target does may free another."""
        moved = True
        while moved:
            moved = False
            for target in self._fleet.targets:
                moved = self._advance(target) or moved
            if len(self._fleet.targets) == 1:
                return

    def _advance(self, target: SimulatedTarget) -> bool:
        moved = False
        while target.has_free_slot:
            step = self._policy.step(target, self._fleet)
            if isinstance(step, Rest):
                self._arrange_look(target, self._fleet.now + step.look_in_s)
                return moved
            if isinstance(step, Swap):
                self._swap(target, step)
            else:
                self._start(target, step)
            moved = True
        return moved

    def _start(self, target: SimulatedTarget, job: Arrival) -> None:
        if job.queue != target.resident:
            raise RuntimeError(f"{job.queue} was to run while {target.resident} is loaded")
        self._fleet.waiting[job.queue].take(job)
        if not target.running:
            target.busy_at = self._fleet.now
        target.running += 1
        target.visit_jobs += 1
        self._tally.started(job, self._fleet.now, target)
        self._arrange(self._fleet.now + job.seconds, _Kind.ENDED, target)

    def _swap(self, target: SimulatedTarget, swap: Swap) -> None:
        if target.running or swap.queue == target.resident:
            raise RuntimeError(f"a swap to {swap.queue} while {target.running} jobs run")
        now = self._fleet.now
        self._tally.visit_ended(target, self._fleet)
        if target.resident is not None:
            target.left_at[target.resident] = now
        target.resident, target.loading = None, swap.queue
        target.cause, target.swap_at = swap.cause, now
        target.swap_in_s = self._fleet.swap_s[swap.queue]
        self._tally.swapped(target)
        self._arrange(now + target.swap_in_s, _Kind.LOADED, target)

    def _begin_visit(self, target: SimulatedTarget) -> None:
        target.resident, target.loading = target.loading, None
        target.visit_at, target.visit_jobs = self._fleet.now, 0
        self._tally.visit_began(target, self._fleet)

    def _arrange_look(self, target: SimulatedTarget, at: float) -> None:
        is_arranged = self._fleet.now < target.look_at <= at
        if at != float("inf") and not is_arranged:
            target.look_at = at
            self._arrange(at, _Kind.LOOK, target)

    def _arrange(self, at: float, kind: _Kind, target: SimulatedTarget) -> None:
        self._made += 1
        heapq.heappush(self._events, (at, self._made, kind, target))
