"""The rules of `foreman.scheduling`, asked as a worker asks them."""

import math
from collections import defaultdict
from dataclasses import dataclass

from foreman.core.arrivals import Arrival
from foreman.scheduling.policy import decide
from foreman.scheduling.rhythm import MOST_CREDIT, NO_RHYTHM, Lingered, Rhythm, credit_after
from foreman.scheduling.room import Room
from foreman.scheduling.values import Demand, Plan, Resident, Sight, VisitRules
from foreman.scheduling.visits import visit_swaps
from foreman.simulation.drain.fleet import Fleet, OpenVisit, SimulatedTarget
from foreman.simulation.drain.steps import Bring, Rest, Step


@dataclass(slots=True)
class _Made:
    """A plan, what was loading when it was made, and until when it holds."""

    plan: Plan
    loading: OpenVisit | None
    look_at: float


@dataclass(slots=True)
class Lingers:
    """Lingers that kept a residency waiting: how they ended, and the seconds without effect."""

    answered: int = 0
    unanswered: int = 0
    wasted_s: float = 0.0


class Ours:
    """One plan for each target, made anew when it does not hold any more."""

    def __init__(self, rules: VisitRules, room: Room) -> None:
        self._rules = rules
        self._first_room = room
        self._rooms: dict[int, Room] = {}
        self._plans: dict[int, _Made] = {}
        self._rhythms: dict[str, Rhythm] = {}
        self._open: dict[str, int] = {}  # jobs of a residency that wait or run
        self._answered_at: dict[str, float] = {}
        # The demands of each residency, until one of its jobs comes or is taken, or a visit ends.
        self._known: dict[str, dict[tuple[int, bool], Demand]] = defaultdict(dict)
        self._lingers: dict[tuple[int, str], float] = {}  # since when
        self._credits: dict[int, float] = {}
        self.lingers = Lingers()

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        queue, now = job.queue, fleet.now
        self._known[queue].clear()
        gap_s = None
        if not self._open.get(queue) and queue in self._answered_at:
            gap_s = now - self._answered_at[queue]
        self._open[queue] = self._open.get(queue, 0) + 1
        self._rhythms[queue] = self._rhythms.get(queue, NO_RHYTHM).arrived(now, gap_s)
        due_at = now + self._rules.max_wait_s(job.job_class)
        for made in self._plans.values():
            made.look_at = min(made.look_at, due_at)
        if self._lingers:
            for target in fleet.targets:
                self._linger_ended(target, queue, fleet, is_answered=True)

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self._open[visit.queue] -= 1
        self._answered_at[visit.queue] = fleet.now
        self._rhythms[visit.queue] = self._rhythms[visit.queue].answered(fleet.now)

    def loaded(self, target: SimulatedTarget, before: tuple[str, ...], fleet: Fleet) -> None:
        room, listed = self._room(target), target.memory.listed
        after = listed(target.residents)
        queue = next(reversed(target.residents))
        self._rooms[target.number] = room.learned(listed(before), queue, after)

    def unloaded(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self._known[visit.queue].clear()
        self._linger_ended(target, visit.queue, fleet, is_answered=False)

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        plan = self._plan(target, fleet)
        if plan.load is not None:
            load = plan.load
            return Bring(load.queue, load.cause.value, load.victims, load.may_go)
        # 1. Serve every resident.
        for queue, visit in target.residents.items():
            if visit.running < target.slots and not visit.is_closing:
                waiting = fleet.waiting.get(queue)
                if waiting:
                    demand = self._demand(queue, target, fleet)
                    self._known[queue].clear()
                    return waiting.line(demand.class_to_take(fleet.now, self._rules))[0]
        return Rest(plan.look_at - fleet.now)

    def _plan(self, target: SimulatedTarget, fleet: Fleet) -> Plan:
        made = self._plans.get(target.number)
        if made is not None and fleet.now < made.look_at:
            # While something loads nothing else can: only for the overdue anything changes.
            is_same_load = target.loading is not None and target.loading is made.loading
            if not target.is_changed or (is_same_load and made.plan.overdue is None):
                return made.plan
        plan = decide(self._rules, self._sight(target, fleet))
        target.is_changed = False
        self._plans[target.number] = _Made(plan, target.loading, plan.look_at)
        for queue, visit in target.residents.items():
            visit.is_closing = queue in plan.closing
        self._note_lingers(target, plan, fleet.now)
        return plan

    def _sight(self, target: SimulatedTarget, fleet: Fleet) -> Sight:
        visits = [*target.residents.values()]
        if target.loading is not None:
            visits.append(target.loading)
        swaps = visit_swaps(self._rules.min_visit_swaps, target.utilization(fleet.now))
        residents = [self._resident(each, is_loading=each is target.loading) for each in visits]
        credit = self._credits.get(target.number, MOST_CREDIT)
        demands, room = self._demands(target, fleet), self._room(target)
        return Sight(fleet.now, residents, demands, room, swaps, linger_credit=credit)

    def _resident(self, visit: OpenVisit, *, is_loading: bool) -> Resident:
        return Resident(
            visit.queue,
            visit.load_s,
            visit.began_at,
            visit.running,
            visit.jobs,
            visit.answered_at,
            self._rhythms.get(visit.queue, NO_RHYTHM),
            False,
            visit.is_closing,
            is_loading,
        )

    def _demands(self, target: SimulatedTarget, fleet: Fleet) -> list[Demand]:
        others = fleet.others(target) if len(fleet.targets) > 1 else ()
        loading = {each.loading.queue for each in others if each.loading}
        loaded = {
            visit.queue
            for each in others
            for visit in each.residents.values()
            if not visit.is_closing
        }
        return [
            self._demand(queue, target, fleet, is_elsewhere=queue in loaded)
            for queue, waiting in fleet.waiting.items()
            if (waiting.interactive or waiting.batch) and queue not in loading
        ]

    def _demand(
        self, queue: str, target: SimulatedTarget, fleet: Fleet, *, is_elsewhere: bool = False
    ) -> Demand:
        known, key = self._known[queue], (target.number, is_elsewhere)
        demand = known.get(key)
        if demand is None:
            waiting = fleet.waiting[queue]
            interactive, batch = waiting.interactive, waiting.batch
            demand = known[key] = Demand(
                queue,
                interactive[0].at if interactive else None,
                batch[0].at if batch else None,
                fleet.swap_s[queue],
                target.left_at.get(queue, -math.inf),
                is_elsewhere,
                len(interactive) + len(batch),
            )
        return demand

    def _room(self, target: SimulatedTarget) -> Room:
        return self._rooms.get(target.number, self._first_room)

    def _note_lingers(self, target: SimulatedTarget, plan: Plan, now: float) -> None:
        for queue in plan.lingering:
            self._lingers.setdefault((target.number, queue), now)

    def _linger_ended(
        self, target: SimulatedTarget, queue: str, fleet: Fleet, *, is_answered: bool
    ) -> None:
        since = self._lingers.pop((target.number, queue), None)
        if since is None:
            return
        load_s = fleet.swap_s[queue]
        linger = Lingered(fleet.now - since, load_s if is_answered else 0.0)
        self._rhythms[queue] = self._rhythms.get(queue, NO_RHYTHM).lingered(linger)
        credit = self._credits.get(target.number, MOST_CREDIT)
        self._credits[target.number] = credit_after(credit, linger, load_s)
        counted = self.lingers
        counted.answered += is_answered
        counted.unanswered += not is_answered
        counted.wasted_s += 0.0 if is_answered else linger.seconds
