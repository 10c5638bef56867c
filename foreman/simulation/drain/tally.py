"""What a run of the simulation comes to: swaps, shares of time, waits, the bound."""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.bound import count_ahead, longest_turn, promised_by
from foreman.scheduling.values import Demand, VisitRules
from foreman.simulation.drain.fleet import Fleet, OpenVisit, SimulatedTarget

# Sums of floats that should be equal may differ in the last digits.
ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit, from its swap to the next."""

    target: int
    queue: str
    cause: str
    swap_at: float
    began_at: float
    ended_at: float
    jobs: int
    is_cut: bool  # it left waiting jobs behind
    place: int = 0  # of the target, from 0


@dataclass(frozen=True, slots=True)
class Start:
    """A job's start."""

    job: Arrival
    at: float
    target: int


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from a job's arrival to its start."""

    jobs: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class ForVisits:
    """How long residencies went unserved until a visit began, against what was promised."""

    longest_s: float
    bound_s: float  # the longest that was promised
    nearest: float  # the largest part of its promise that any of them waited
    violations: int


@dataclass(frozen=True, slots=True)
class _Promise:
    since: float
    by: float


class Promises:
    """Holds each visit to the promise that was made when a class of its residency began to wait."""

    def __init__(
        self, rules: VisitRules, load_s: Mapping[str, float], *, places: int | None
    ) -> None:
        self._rules = rules
        self._turn = longest_turn(rules, load_s.values(), places=places)
        self._made: dict[tuple[str, JobClass], _Promise] = {}
        self.longest_s = dict.fromkeys(JobClass, 0.0)
        self.promised_s = dict.fromkeys(JobClass, 0.0)
        self.nearest = dict.fromkeys(JobClass, 0.0)
        self.violations = dict.fromkeys(JobClass, 0)

    def began(self, queue: str, job_class: JobClass, fleet: Fleet) -> None:
        """A residency that no target has waits from now on for a job of this class."""
        by = min(self._by(queue, job_class, target, fleet) for target in fleet.targets)
        self._made[queue, job_class] = _Promise(fleet.now, by)
        self.promised_s[job_class] = max(self.promised_s[job_class], by - fleet.now)

    def visited(self, queue: str, fleet: Fleet) -> None:
        """A visit began; ROUNDING_S is given for sums of floats in another order."""
        for job_class in JobClass:
            promise = self._made.pop((queue, job_class), None)
            if promise is not None:
                waited_s, within_s = fleet.now - promise.since, promise.by - promise.since
                self.longest_s[job_class] = max(self.longest_s[job_class], waited_s)
                self.nearest[job_class] = max(self.nearest[job_class], waited_s / within_s)
                self.violations[job_class] += waited_s > within_s + ROUNDING_S

    def _by(self, queue: str, job_class: JobClass, target: SimulatedTarget, fleet: Fleet) -> float:
        demands = [
            Demand(
                each,
                waiting.interactive[0].at if waiting.interactive else None,
                waiting.batch[0].at if waiting.batch else None,
                fleet.swap_s[each],
                target.left_at.get(each, -math.inf),
            )
            for each, waiting in fleet.waiting.items()
            if waiting.interactive or waiting.batch
        ]
        return promised_by(
            self._rules,
            next(each for each in demands if each.queue == queue),
            job_class,
            now=fleet.now,
            turn=self._turn,
            ahead=count_ahead(demands, target.taken)[queue],
        )


class Tally:
    """Counts one run. `keep` visits and starts are kept whole, for drawings and tests."""

    def __init__(self, promises: Promises, *, keep: int = 0) -> None:
        self.promises = promises
        self._keep = keep
        self.visits: list[Visit] = []
        self.starts: list[Start] = []
        self.waits = {job_class: array("d") for job_class in JobClass}
        self.causes: Counter[str] = Counter()
        self.swaps = 0  # loads that something was unloaded for
        self.swap_s = 0.0
        self.cuts = 0
        self.cut_s = 0.0  # loads of visits that were cut: made for less than they could serve
        self.busy_s = 0.0
        self.span_s = 0.0  # of all targets, from the first arrival to the last end
        self._first_at = math.inf

    @property
    def violations(self) -> dict[JobClass, int]:
        """Visits that began later than promised."""
        return self.promises.violations

    def head_came(self, job: Arrival, fleet: Fleet) -> None:
        """A job is the first of its line."""
        if not fleet.is_loaded(job.queue):
            self.promises.began(job.queue, job.job_class, fleet)

    def was_left(self, queue: str, fleet: Fleet) -> None:
        """A visit ended, perhaps with work left."""
        if fleet.has_work(queue) and not fleet.is_loaded(queue):
            for job_class in JobClass:
                if fleet.waiting[queue].line(job_class):
                    self.promises.began(queue, job_class, fleet)

    def started(self, job: Arrival, now: float, target: SimulatedTarget) -> None:
        """A job left its line."""
        self._first_at = min(self._first_at, job.at)  # the first to start may have come later
        self.waits[job.job_class].append(now - job.at)
        if len(self.starts) < self._keep:
            self.starts.append(Start(job, now, target.number))

    def loads(self, visit: OpenVisit, *, has_replaced: bool) -> None:
        """A load began."""
        self.causes[visit.cause] += 1
        self.swaps += has_replaced
        self.swap_s += visit.load_s

    def visit_ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """The residency is unloaded, or the run is over."""
        is_cut = fleet.has_work(visit.queue)
        if is_cut:
            self.cuts += 1
            self.cut_s += visit.load_s
        if len(self.visits) < self._keep:
            self.visits.append(
                Visit(
                    target.number,
                    visit.queue,
                    visit.cause,
                    visit.load_at,
                    visit.began_at,
                    fleet.now,
                    visit.jobs,
                    is_cut,
                    visit.place,
                )
            )

    def visit_began(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """Hold it to what was promised."""
        self.promises.visited(visit.queue, fleet)

    def close(self, fleet: Fleet, *, ended_at: float) -> None:
        """The run is over: no job waits, none runs."""
        self.busy_s = sum(each.busy_s for each in fleet.targets)
        self.span_s = max(0.0, ended_at - self._first_at) * len(fleet.targets)

    def waits_of(self, job_class: JobClass) -> Waits:
        """The distribution of a class's waits; zeros when it had no jobs."""
        waits = sorted(self.waits[job_class])
        p50, p95, p99, longest = (percentile(waits, part) for part in (0.5, 0.95, 0.99, 1.0))
        mean = sum(waits) / max(len(waits), 1)
        return Waits(len(waits), mean, p50, p95, p99, longest)

    def for_visits(self, job_class: JobClass) -> ForVisits:
        """A class's waits for a visit, and the promise."""
        kept = self.promises
        return ForVisits(
            kept.longest_s[job_class],
            kept.promised_s[job_class],
            kept.nearest[job_class],
            kept.violations[job_class],
        )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile of ascending values; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]
