"""What a run of the simulation comes to: swaps, shares of time, waits, the bound."""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreman.core.arrivals import Arrival
from foreman.core.drain import Rules, wait_bound_s
from foreman.core.queues import JobClass
from foreman.simulation.drain.fleet import Fleet, SimulatedTarget

Bounds = Mapping[tuple[str, JobClass], float]
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
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class ForVisits:
    """How long residencies went unserved until a visit began, against the bound."""

    longest_s: float
    bound_s: float  # the least of all residencies
    nearest: float  # the largest part of its bound that any of them waited
    violations: int


def bounds(rules: Rules, swap_s: Mapping[str, float]) -> Bounds:
    """The bound of each residency and class on targets that serve all of them."""
    return {
        (queue, job_class): wait_bound_s(
            rules,
            job_class,
            swap_s=own_s,
            others_swap_s=[each_s for other, each_s in swap_s.items() if other != queue],
        )
        for queue, own_s in swap_s.items()
        for job_class in JobClass
    }


class Tally:
    """Counts one run. `keep` visits and starts are kept whole, for drawings and tests."""

    def __init__(self, limits: Bounds, *, keep: int = 0) -> None:
        self._limits = limits
        self._keep = keep
        self.visits: list[Visit] = []
        self.starts: list[Start] = []
        self.waits = {job_class: array("d") for job_class in JobClass}
        self.causes: Counter[str] = Counter()
        self.swap_s = 0.0
        self.cuts = 0
        self.cut_s = 0.0  # loads of visits that were cut: made for less than they could serve
        self.busy_s = 0.0
        self.span_s = 0.0  # of all targets, from the first arrival to the last end
        self.longest_s = dict.fromkeys(JobClass, 0.0)
        self.nearest = dict.fromkeys(JobClass, 0.0)
        self.violations = dict.fromkeys(JobClass, 0)
        self._first_at = math.inf

    def started(self, job: Arrival, now: float, target: SimulatedTarget) -> None:
        """A job left its line."""
        self._first_at = min(self._first_at, job.at)  # the first to start may have come later
        self.waits[job.job_class].append(now - job.at)
        if len(self.starts) < self._keep:
            self.starts.append(Start(job, now, target.number))

    def swapped(self, target: SimulatedTarget) -> None:
        """A swap began."""
        self.causes[target.cause] += 1
        self.swap_s += target.swap_in_s

    def visit_ended(self, target: SimulatedTarget, fleet: Fleet) -> None:
        """The target is about to swap, or the run is over."""
        if target.resident is None:
            return
        is_cut = fleet.has_work(target.resident)
        if is_cut:
            self.cuts += 1
            self.cut_s += target.swap_in_s
        if len(self.visits) < self._keep:
            self.visits.append(
                Visit(
                    target.number,
                    target.resident,
                    target.cause,
                    target.swap_at,
                    target.visit_at,
                    fleet.now,
                    target.visit_jobs,
                    is_cut,
                )
            )

    def visit_began(self, target: SimulatedTarget, fleet: Fleet) -> None:
        """Hold each class's head to what the bound promises for the next visit.

        Its wait for a visit began when it came or, if a visit had to leave it behind, when that
        one ended. What another target is serving just now waits for no visit.
        """
        queue = target.resident or ""
        if any(each.resident == queue for each in fleet.others(target)):
            return
        left_at = max(each.left_at.get(queue, float("-inf")) for each in fleet.targets)
        for job_class in JobClass:
            line = fleet.waiting[queue].line(job_class)
            if line:
                unserved_s = fleet.now - max(line[0].at, left_at)
                self._hold(job_class, unserved_s, self._limits[queue, job_class])

    def close(self, fleet: Fleet) -> None:
        """The run is over: no job waits, none runs."""
        self.busy_s = sum(each.busy_s for each in fleet.targets)
        self.span_s = max(0.0, fleet.now - self._first_at) * len(fleet.targets)

    def waits_of(self, job_class: JobClass) -> Waits:
        """The distribution of a class's waits; zeros when it had no jobs."""
        waits = sorted(self.waits[job_class])
        p50, p95, p99, longest = (percentile(waits, part) for part in (0.5, 0.95, 0.99, 1.0))
        return Waits(len(waits), p50, p95, p99, longest)

    def for_visits(self, job_class: JobClass) -> ForVisits:
        """A class's waits for a visit, and the bound."""
        bound_s = min(limit for (_, each), limit in self._limits.items() if each is job_class)
        return ForVisits(
            self.longest_s[job_class], bound_s, self.nearest[job_class], self.violations[job_class]
        )

    def _hold(self, job_class: JobClass, unserved_s: float, limit_s: float) -> None:
        self.longest_s[job_class] = max(self.longest_s[job_class], unserved_s)
        self.nearest[job_class] = max(self.nearest[job_class], unserved_s / limit_s)
        self.violations[job_class] += unserved_s > limit_s + ROUNDING_S


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile of ascending values; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]
