"""What the queues may expect, as values: computed once (`services.outlook`), read by many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foreman.core.forecast import Stay, eta_s
from foreman.core.queues import JobClass

# What a run is taken to last before any has ended.
PRIOR_RUN_S = 10.0
INFINITE = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
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
    starts_p50_s: float | None
    starts_p90_s: float | None
    bound_s: dict[JobClass, float]  # its next visit starts within, whatever comes
    why: str  # it is served, or is not, now


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Seconds that runs of one residency have taken, from claim to end."""

    p50_s: float
    p90_s: float

    def at(self, *, is_p90: bool) -> float:
        return self.p90_s if is_p90 else self.p50_s


PRIOR_RUN = RunTimes(PRIOR_RUN_S, PRIOR_RUN_S)


@dataclass(frozen=True, slots=True)
class TargetForecast:
    """The visits that one target will make, with runs as they usually are and with slow ones."""

    name: str
    slots: int
    usual: Sequence[Stay]
    slow: Sequence[Stay]


@dataclass(frozen=True, slots=True)
class Prospect:
    """Forecasts over one picture of the queues."""

    targets: Sequence[TargetForecast] = ()
    runs: Mapping[str, RunTimes] = field(default_factory=dict)  # by queue
    reports: Sequence[QueueReport] = ()  # the longest wait first
    # Until the last waiting job of each queue has started; infinite: not foreseen.
    drained_s: Mapping[str, float] = field(default_factory=dict)

    def eta_s(
        self, queue: str, position: int, *, is_p90: bool, pinned: str | None = None
    ) -> float | None:
        """Seconds until the job at `position` (from 0) of a queue starts; None: not foreseen."""
        run_s = self.runs.get(queue, PRIOR_RUN).at(is_p90=is_p90)
        etas = [
            eta_s(
                target.slow if is_p90 else target.usual,
                queue,
                position=position,
                slots=target.slots,
                run_s=run_s,
            )
            for target in self.targets
            if pinned in (None, target.name)
        ]
        soonest = min(etas, default=INFINITE)
        return None if soonest == INFINITE else soonest
