"""What the queues may expect, as values: computed once (`services.outlook`), read by many.

The promise (`bound`) and the forecast (`forecast`) are different things. The promise is the longest
that a visit can be away; the forecast says when a job will probably start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from foreman.core.queues import JobClass
from foreman.scheduling.forecast import Eta, ExpectedStay, soonest_eta
from foreman.scheduling.room import Room

# What a run is taken to last before any has ended.
PRIOR_RUN_S = 10.0


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Runs of one residency: seconds from claim to end, and how many end per second."""

    p50_s: float
    p90_s: float
    mean_s: float
    ends_per_s: float = 0.0


PRIOR_RUN = RunTimes(PRIOR_RUN_S, PRIOR_RUN_S, PRIOR_RUN_S)


# Named tuples where there is one of each for each residency: they are made faster.
class Promise(NamedTuple):
    """The next visit starts `by` then, for as long as the same job waits for it.

    Times on this process's monotonic clock.
    """

    by: float
    head_at: float  # when the oldest job of the class came
    left_at: float  # the end of the last visit


class QueueReport(NamedTuple):
    """One residency that has work or is loaded. Times in seconds; None: not known."""

    queue: str
    model: str
    waiting: dict[JobClass, int]
    oldest_wait_s: dict[JobClass, float]
    resident_on: list[str]
    loading_on: list[str]
    run_p50_s: float | None
    run_p90_s: float | None
    swap_s: dict[str, float]  # by target
    bound_s: dict[JobClass, float]  # the promise: its next visit starts within, whatever comes
    starts_p50_s: float | None  # the forecast: its next job starts in
    starts_p90_s: float | None
    why: str  # it is served, or is not, now


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentReport:
    """A residency that a target has loaded, or is loading."""

    queue: str
    model: str | None
    size_bytes: int
    is_pinned: bool
    since_s: float  # how long ago it was loaded, or its load began
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """A target: what it has loaded, and what is known of its room."""

    name: str
    is_live: bool
    sick_reason: str | None
    reason: str | None  # of its newest load
    residents: Sequence[ResidentReport]
    loading: Sequence[ResidentReport]
    room: Room
    lingers: int  # that have ended of late, and how many of these a job ended
    lingers_answered: int
    linger_wasted_s: float


@dataclass(frozen=True, slots=True)
class TargetForecast:
    """The stays that one target will give each residency."""

    name: str
    slots: int
    stays: Mapping[str, Sequence[ExpectedStay]]


@dataclass(frozen=True, slots=True)
class Prospect:
    """Promises and forecasts over one picture of the queues."""

    targets: Sequence[TargetForecast] = ()
    runs: Mapping[str, RunTimes] = field(default_factory=dict)  # by queue
    queue_reports: Sequence[QueueReport] = ()  # the longest wait first
    target_reports: Sequence[TargetReport] = ()
    # Until the last waiting job of each queue has started; infinite: not foreseen.
    drained_s: Mapping[str, float] = field(default_factory=dict)
    promises: Mapping[tuple[str, JobClass], Promise] = field(default_factory=dict)

    def eta(self, queue: str, position: int, *, pinned: str | None = None) -> Eta:
        """When the job at `position` (from 0) of a queue starts, where it starts first."""
        return self.etas(queue, [position], pinned=pinned)[0]

    def etas(self, queue: str, positions: Sequence[int], *, pinned: str | None = None) -> list[Eta]:
        """The same for several positions of one queue, in less time."""
        run_s = self.runs.get(queue, PRIOR_RUN).mean_s
        able = [
            (target.slots, stays)
            for target in self.targets
            if (stays := target.stays.get(queue)) and pinned in (None, target.name)
        ]
        able.sort(key=_first_start)
        return [soonest_eta(able, position=each, run_s=run_s) for each in positions]


def _first_start(able: tuple[int, Sequence[ExpectedStay]]) -> float:
    return able[1][0].starts_s
