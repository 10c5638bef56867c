"""The rules for a target that holds several resident models: `decide`.

Of the residencies with waiting jobs that are not resident, the overdue come first, and then those
that have gone unserved for the longest. One load runs at a time.

1. **Serve every resident.** A resident with work and a free slot takes its next job, unless it is
   closing. Interactive jobs go before batch jobs, and an overdue batch job goes before interactive
   jobs that still have time (`Demand.class_to_take`).
2. **Load what fits.** What is known to fit next to the residents is loaded at once, while their
   jobs run.
3. **Make room** for what does not fit: as few residents go as it needs. They are at rest (no job
   runs or waits), not pinned and not lingering, and the least needed goes first: the one with the
   lowest (cost to load it again) / (expected seconds until its next job).
   a. It is known not to fit: the victims are unloaded, then it is loaded.
   b. It is not known: it is loaded and nothing is unloaded. The target unloads what it must; what
      stays has shown that it fits. All that may have to go is at rest, so the target never waits.
      It is known afterwards, so not even lingering residents are in the way.
4. **Linger.** An empty resident stays for a time after its last answer.
   a. For tau, as far as its gaps predict that its next job comes sooner than the load that would
      be made (`Rhythm.lingers_until`). Before it has gaps to go by: for as long as that load, if
      the lingers of the target have not cost two loads more than they saved.
   b. Next to other residents: for two loads, if it is needed enough for the jobs that wait
      meanwhile (`lingers_until`).
   While somebody is overdue only (a) holds, and only within the resident's minimum dwell.
5. **Cut.** The first of the overdue finds no room among residents at rest: close as few residents
   as it needs whose visits have lasted their minimum dwell, those without waiting jobs first. A
   closing resident takes no more jobs; when its runs have ended it goes. Until then nothing is
   loaded that would take the room away again.
6. **Rest.** Nothing can be loaded, or nothing waits: everything stays loaded. A pinned residency
   that is missing is loaded where it fits; where that is not known, while all residents rest.

What does not fit next to the pinned residents, by what the operator says, is never loaded here.

What another live target has loaded is left to it until its head has waited as long as a load here
would take; the overdue are left to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from foreman.scheduling.room import Fit
from foreman.scheduling.values import (
    NEVER,
    Cause,
    Demand,
    Plan,
    PlannedLoad,
    Resident,
    Sight,
    VisitRules,
)
from foreman.scheduling.victims import (
    Choice,
    choose,
    dwells_until,
    has_dwelt,
    least_needed,
    lingers_until,
)

_NOBODY = Choice((), ())


def decide(rules: VisitRules, sight: Sight) -> Plan:
    """Say what a target does now; the numbers are those of the rules above."""
    return _Planner(rules, sight).plan()


@dataclass(slots=True)
class _Planner:
    """One decision, while it is made."""

    rules: VisitRules
    sight: Sight
    working: set[str] = field(default_factory=set)  # residents with waiting jobs
    resting: list[Resident] = field(default_factory=list)  # no job of theirs runs or waits
    in_line: int = 0  # residencies that wait for a load
    loaded: list[str] = field(default_factory=list)  # the residents' queues
    unpinned: int = 0  # residents
    has_late: bool = False
    # The first of the overdue that cannot be loaded yet, and the residents that go for it.
    first_late: Demand | None = None
    reserved: Choice = _NOBODY
    closing: frozenset[str] = frozenset()
    lingering: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    look_at: float = NEVER
    reason: str = "nothing waits"

    def plan(self) -> Plan:
        waiting = self._waiting()
        self.resting = [
            each
            for each in self.sight.residents
            if not each.running and not each.is_loading and each.queue not in self.working
        ]
        is_loading = any(each.is_loading for each in self.sight.residents)
        for demand in waiting:
            if is_loading and (self.first_late is not None or not self.has_late):
                break  # the end of the load makes a new plan
            load = self._load(demand, waiting, is_loading=is_loading)
            if load is not None:
                return self._as_plan(load)
        return self._as_plan(None if is_loading else self._missing_pin(is_idle=not waiting))

    def _waiting(self) -> list[Demand]:
        """The residencies that wait for a load, in their order."""
        now, rules = self.sight.now, self.rules
        self.loaded = [each.queue for each in self.sight.residents]
        resident = set(self.loaded)
        pinned = [each.queue for each in self.sight.residents if each.is_pinned]
        self.unpinned = len(self.sight.residents) - len(pinned)
        keyed = []
        for each in self.sight.demands:
            head_at = each.head_at()
            if head_at == NEVER:
                continue
            if each.queue in resident:
                self.working.add(each.queue)
                continue
            if pinned and self.sight.room.fit([*pinned, each.queue]) is Fit.EXCEEDS:
                self.stuck.add(each.queue)
                continue
            if each.is_elsewhere and (until := each.left_alone_until(rules)) > now:
                self.look_at = min(self.look_at, until)
                continue
            due_at = each.due_at(rules)
            has_time = due_at > now
            if not has_time:
                self.has_late = True
            elif due_at < self.look_at:
                self.look_at = due_at
            keyed.append((has_time, max(head_at, each.left_at), head_at, each.queue, each))
        self.in_line = len(keyed)
        keyed.sort()  # no two have the same queue
        if keyed:
            self.reason = f"{keyed[0][4].queue} waits for a resident to come to rest"
        return [key[4] for key in keyed]

    def _load(
        self, demand: Demand, waiting: Sequence[Demand], *, is_loading: bool
    ) -> PlannedLoad | None:
        """The load that serves this demand now; None: not yet."""
        fit = self.sight.room.fit([*self.loaded, demand.queue])
        choice = _NOBODY if fit is Fit.FITS else self._at_rest(demand, fit)  # 2, 3
        if choice is not None and not is_loading and self._leaves_room(demand.queue, choice):
            return self._planned(demand, choice, waiting)
        if not self.has_late or self.first_late is not None or fit is Fit.FITS:
            return None
        if demand.due_at(self.rules) > self.sight.now:
            return None
        cut = self._cut(demand)
        if cut is None or is_loading or any(each.running for each in cut.all):
            return None
        return self._planned(demand, cut, waiting)

    def _at_rest(self, demand: Demand, fit: Fit) -> Choice | None:
        """3. Residents at rest that make room for it."""
        if not self.resting:
            return None
        if fit is Fit.UNKNOWN:
            tried = self._choose(demand, self.resting)
            if tried is not None and not tried.victims:
                return tried
        free = [each for each in self.resting if each.is_pinned or not self._lingers(each, demand)]
        return self._choose(demand, free) if free else None

    def _lingers(self, resident: Resident, demand: Demand) -> bool:
        """4. Whether an empty resident is kept although another residency waits."""
        now, swaps = self.sight.now, self.sight.visit_swaps
        is_shared = self.unpinned > 1 and not self.has_late  # 4b
        until = lingers_until(
            resident,
            self.rules,
            demand,
            now,
            is_shared=is_shared,
            in_line=self.in_line,
            credit=self.sight.linger_credit,
        )
        if self.has_late:
            until = min(until, dwells_until(resident, swaps))
        if until <= now:
            return False
        self.look_at = min(self.look_at, until)
        if not is_shared:
            self.lingering.add(resident.queue)
        return True

    def _cut(self, demand: Demand) -> Choice | None:
        """5. Close what must go for it; None: find out what will, and when."""
        sight = self.sight
        loaded = [each for each in sight.residents if not each.is_loading]
        choice = self._choose(demand, [each for each in loaded if self._may_close(each)])
        if choice is not None:
            self.first_late, self.reserved = demand, choice
            self.closing = frozenset(each.queue for each in choice.all)
            self.reason = f"{demand.queue} is overdue; waiting for runs to end"
            return choice
        ends = {each.queue: dwells_until(each, sight.visit_swaps) for each in sight.residents}
        soonest = sorted(sight.residents, key=lambda each: (each.is_pinned, ends[each.queue]))
        later = choose(sight.room, sight.residents, soonest, demand.queue)
        if later is None:
            return None
        self.first_late, self.reserved = demand, later
        until = max(ends[each.queue] for each in later.all)
        if until > sight.now:
            self.look_at = min(self.look_at, until)
        self.reason = f"{demand.queue} is overdue; no visit has lasted long enough to be cut"
        return None

    def _may_close(self, resident: Resident) -> bool:
        if resident.is_closing or has_dwelt(resident, self.sight.now, self.sight.visit_swaps):
            return True
        is_empty = resident.queue not in self.working and not resident.running
        return is_empty and resident.queue not in self.lingering

    def _choose(self, demand: Demand, candidates: Sequence[Resident]) -> Choice | None:
        ordered = self._least_needed_first(candidates)
        return choose(self.sight.room, self.sight.residents, ordered, demand.queue)

    def _least_needed_first(self, candidates: Sequence[Resident]) -> list[Resident]:
        now, working = self.sight.now, self.working
        return sorted(
            candidates, key=lambda each: least_needed(each, now, has_work=each.queue in working)
        )

    def _leaves_room(self, queue: str, choice: Choice) -> bool:
        """5. Whether the first of the overdue finds its room as if nothing had been loaded."""
        if self.first_late is None:
            return True
        going = {each.queue for each in choice.all}
        reserved = {each.queue for each in self.reserved.all}
        if going & reserved:
            return False
        staying = {each.queue for each in self.sight.residents} - going - reserved
        both = [*staying, queue, self.first_late.queue]
        return self.sight.room.fit(both) is Fit.FITS

    def _planned(self, demand: Demand, choice: Choice, waiting: Sequence[Demand]) -> PlannedLoad:
        is_forced = demand.due_at(self.rules) <= self.sight.now and (
            any(each.queue in self.working for each in choice.all)
            or any(each.unserved_since() < demand.unserved_since() for each in waiting)
        )
        if not self.sight.residents:
            cause, why = Cause.FIRST, "nothing is loaded"
        elif not choice.all:
            cause, why = Cause.FITS, "it fits next to what is loaded"
        elif is_forced:
            cause, why = Cause.OVERDUE, "it is overdue"
        elif choice.may_go:
            cause, why = Cause.TRIED, "it may fit next to what is loaded"
        else:
            cause, why = Cause.DRAINED, f"{choice.victims[0].queue} has no more work"
        victims = tuple(each.queue for each in choice.victims)
        may_go = tuple(each.queue for each in choice.may_go)
        return PlannedLoad(demand.queue, cause, why, victims, may_go)

    def _missing_pin(self, *, is_idle: bool) -> PlannedLoad | None:
        """6. A pinned residency goes back where it fits, or may fit and nobody is disturbed."""
        sight = self.sight
        is_quiet = is_idle and len(self.resting) == len(sight.residents)
        for queue in sorted(sight.missing_pins):
            fit = sight.room.fit([*self.loaded, queue])
            if fit is Fit.FITS and self._leaves_room(queue, _NOBODY):
                return PlannedLoad(queue, Cause.PINNED, "it is pinned, and it fits")
            if fit is Fit.UNKNOWN and is_quiet:
                why = "it is pinned, and it may fit"
                may_go = tuple(each.queue for each in self._least_needed_first(sight.residents))
                return PlannedLoad(queue, Cause.PINNED, why, (), may_go)
        return None

    def _as_plan(self, load: PlannedLoad | None) -> Plan:
        closing = self.closing
        if load is not None:
            closing |= {*load.victims, *load.may_go}
        return Plan(
            load=load,
            closing=closing,
            lingering=frozenset(self.lingering),
            overdue=None if self.first_late is None else self.first_late.queue,
            stuck=frozenset(self.stuck),
            look_at=self.look_at,
            reason=self.reason if load is None else load.reason,
        )
