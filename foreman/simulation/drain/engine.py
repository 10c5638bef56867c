"""Run arrivals through a policy: events in a heap, the time jumps from one to the next."""

import heapq
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Protocol

from foreman.core.arrivals import Arrival
from foreman.simulation.drain.fleet import Fleet, Memory, OpenVisit, SimulatedTarget
from foreman.simulation.drain.steps import SHORTEST_LOOK_S, Bring, Policy, Rest
from foreman.simulation.drain.tally import Tally

_ONE_PLACE = Memory()


class _Kind(IntEnum):
    ENDED = 0  # a job
    LOADED = 1  # a residency
    CAME = 2  # a job whose client had to see another one's answer first
    LOOK = 3  # nothing happened; the policy asked to be asked again


class Clients(Protocol):
    """Whoever sends the jobs."""

    def first(self) -> Iterable[Arrival]:
        """The jobs that come whatever happens, in order of time."""

    def answered(self, job: Arrival, at: float) -> Arrival | None:
        """The next job of a client that waited for this one."""


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
        memory: Memory = _ONE_PLACE,
    ) -> None:
        numbers = range(targets)
        self._fleet = Fleet([SimulatedTarget(number, slots, memory) for number in numbers], swap_s)
        self._policy = policy
        self._tally = tally
        self._clients: Clients | None = None
        self._events: list[tuple[float, int, _Kind, SimulatedTarget, object]] = []
        self._ended_at = 0.0  # the last job
        self._made = 0  # events; of two at the same time the older comes first

    def run(self, arrivals: Iterable[Arrival] | Clients) -> None:
        """Serve all arrivals to the last; an iterable of them comes in order of time."""
        if not isinstance(arrivals, Iterable):
            self._clients = arrivals
            arrivals = arrivals.first()
        events = self._events
        for job in arrivals:
            while events and events[0][0] <= job.at:
                self._next_event()
            self._fleet.now = job.at
            self._came(job)
        while events:
            self._next_event()
        for target in self._fleet.targets:
            for visit in target.residents.values():
                self._tally.visit_ended(target, visit, self._fleet)
        self._tally.close(self._fleet, ended_at=self._ended_at)

    def _next_event(self) -> None:
        self._fleet.now, _, kind, target, what = heapq.heappop(self._events)
        if kind is _Kind.CAME:
            assert isinstance(what, Arrival)
            return self._came(what)
        if kind is _Kind.ENDED:
            assert isinstance(what, tuple)
            self._ended(target, *what)
        elif kind is _Kind.LOADED:
            assert isinstance(what, tuple)
            self._begin_visit(target, what)
        self._advance_all()

    def _came(self, job: Arrival) -> None:
        fleet = self._fleet
        if fleet.add(job):
            for target in fleet.targets:
                target.is_changed |= job.queue not in target.residents
            self._tally.head_came(job, fleet)
        self._policy.arrived(job, fleet)
        self._advance_all()

    def _ended(self, target: SimulatedTarget, visit: OpenVisit, job: Arrival) -> None:
        fleet = self._fleet
        self._ended_at = fleet.now
        target.running -= 1
        visit.running -= 1
        visit.answered_at = fleet.now
        if not target.running:
            target.running = 1  # until now
            target.measure(fleet.now)
            target.running = 0
            target.busy_s += fleet.now - target.busy_at
        if not visit.running:
            target.is_changed |= visit.is_closing or not fleet.waiting[visit.queue]
        self._policy.ended(target, visit, fleet)
        if self._clients is not None:
            following = self._clients.answered(job, fleet.now)
            if following is not None:
                self._arrange(following.at, _Kind.CAME, target, following)

    def _advance_all(self) -> None:
        """Let the policy decide until nobody moves: what one target does may free another."""
        targets = self._fleet.targets
        moved = True
        while moved:
            moved = False
            for target in targets:
                moved = self._advance(target) or moved
            if len(targets) == 1:
                return

    def _advance(self, target: SimulatedTarget) -> bool:
        moved = False
        while True:
            step = self._policy.step(target, self._fleet)
            if isinstance(step, Rest):
                if step.look_in_s != float("inf"):
                    look_in_s = max(step.look_in_s, SHORTEST_LOOK_S)
                    self._arrange_look(target, self._fleet.now + look_in_s)
                return moved
            if isinstance(step, Bring):
                self._load(target, step)
            else:
                self._start(target, step)
            moved = True

    def _start(self, target: SimulatedTarget, job: Arrival) -> None:
        fleet = self._fleet
        visit = target.residents.get(job.queue)
        if visit is None or visit.running >= target.slots:
            raise RuntimeError(f"{job.queue} was to run, and is not resident or has no slot")
        fleet.waiting[job.queue].take(job)
        if not target.running:
            target.measure(fleet.now)
            target.busy_at = fleet.now
        target.running += 1
        visit.running += 1
        visit.jobs += 1
        target.is_changed |= visit.jobs == 1  # no visit is cut before its first job
        if len(fleet.targets) > 1:
            for each in fleet.targets:
                each.is_changed = True
        self._tally.started(job, fleet.now, target)
        self._arrange(fleet.now + job.seconds, _Kind.ENDED, target, (visit, job))

    def _load(self, target: SimulatedTarget, bring: Bring) -> None:
        now, queue = self._fleet.now, bring.queue
        if target.loading is not None or queue in target.residents:
            raise RuntimeError(f"{queue} was to be loaded, and is, or something else is loading")
        for victim in bring.victims:
            self._unload(target, victim)
        before = tuple(target.residents)
        self._evict(target, bring)
        taken = {each.place for each in target.residents.values()}
        place = next(number for number in range(len(taken) + 1) if number not in taken)
        load_s = self._fleet.swap_s[queue]
        target.loading = OpenVisit(queue, bring.cause, load_s, now, place, now + load_s)
        has_replaced = bool(bring.victims) or len(before) > len(target.residents)
        self._tally.loads(target.loading, has_replaced=has_replaced)
        self._change_all()
        self._arrange(now + load_s, _Kind.LOADED, target, before)

    def _evict(self, target: SimulatedTarget, bring: Bring) -> None:
        """What the target unloads by itself, since the new one does not fit."""
        going = list(bring.may_go)
        while not target.memory.holds([*target.residents, bring.queue]):
            if not going:
                raise RuntimeError(f"{bring.queue} does not fit next to {[*target.residents]}")
            self._unload(target, going.pop(0))

    def _unload(self, target: SimulatedTarget, queue: str) -> None:
        visit = target.residents[queue]
        if visit.running:
            raise RuntimeError(f"{queue} was to be unloaded while {visit.running} of its jobs run")
        del target.residents[queue]
        target.left_at[queue] = self._fleet.now
        self._tally.visit_ended(target, visit, self._fleet)
        self._policy.unloaded(target, visit, self._fleet)
        self._tally.was_left(queue, self._fleet)

    def _begin_visit(self, target: SimulatedTarget, before: tuple[str, ...]) -> None:
        visit, target.loading = target.loading, None
        assert visit is not None
        visit.began_at = self._fleet.now
        target.residents[visit.queue] = visit
        self._change_all()
        self._tally.visit_began(target, visit, self._fleet)
        self._policy.loaded(target, before, self._fleet)

    def _change_all(self) -> None:
        for each in self._fleet.targets:
            each.is_changed = True

    def _arrange_look(self, target: SimulatedTarget, at: float) -> None:
        if not self._fleet.now < target.look_at <= at:
            target.look_at = at
            self._arrange(at, _Kind.LOOK, target, None)

    def _arrange(self, at: float, kind: _Kind, target: SimulatedTarget, what: object) -> None:
        self._made += 1
        heapq.heappush(self._events, (at, self._made, kind, target, what))
