"""Made-up arrivals: steady, in bursts, by day and night, and as bad as we could think of."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, cycle, islice

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass

DAY_S = 86_400.0
# No run is longer than this many times the mean one.
LONGEST_RUN = 10.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the targets; `rho` counts the jobs alone, without a swap."""

    jobs: int = 20_000
    models: int = 4
    names: tuple[str, ...] = ()  # of the models; none: they are numbered
    rho: float = 0.75  # seconds of work that come in a second, for each slot of each target
    service_s: float = 2.0  # mean run of a job
    batch_share: float = 0.3
    burst_jobs: int = 400
    places: int = 1  # slots of all targets together
    seed: int = 1

    @property
    def gap_s(self) -> float:
        """Mean time from one job to the next."""
        return self.service_s / (self.rho * self.places)

    @property
    def queues(self) -> list[str]:
        """The residencies' model queues; the first is asked for most."""
        if self.names:
            return list(self.names)
        return [f"model-{number:02}" for number in range(1, self.models + 1)]


class _Dice:
    """Everything that chance decides, from one seed."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._queues = load.queues
        self.random = random.Random(load.seed)
        # Zipf: the second model gets half as many jobs as the first, the third a third.
        self._weights = list(accumulate(1 / number for number in range(1, len(self._queues) + 1)))

    def queue(self) -> str:
        return self.random.choices(self._queues, cum_weights=self._weights)[0]

    def gap_s(self, mean_s: float) -> float:
        return self.random.expovariate(1 / mean_s)

    def run_s(self) -> float:
        mean_s = self._load.service_s
        return min(self.random.expovariate(1 / mean_s), LONGEST_RUN * mean_s)

    def job(self, at: float, queue: str, run_s: float | None = None) -> Arrival:
        is_batch = self.random.random() < self._load.batch_share
        job_class = JobClass.BATCH if is_batch else JobClass.INTERACTIVE
        return Arrival(at, queue, job_class, self.run_s() if run_s is None else run_s)


def poisson(load: Load) -> Iterator[Arrival]:
    """Jobs that know nothing of each other, at one rate."""
    dice, at = _Dice(load), 0.0
    for _ in range(load.jobs):
        at += dice.gap_s(load.gap_s)
        yield dice.job(at, dice.queue())


def bursts(load: Load) -> Iterator[Arrival]:
    """`burst_jobs` at once, over all models, then silence until the next burst."""
    dice, at = _Dice(load), 0.0
    for number in range(load.jobs):
        if number and number % load.burst_jobs == 0:
            at += dice.gap_s(load.gap_s * load.burst_jobs)
        yield dice.job(at, dice.queue())


def diurnal(load: Load) -> Iterator[Arrival]:
    """A day's wave: at noon nearly twice the mean rate, at midnight nearly nothing."""
    dice, at = _Dice(load), 0.0
    made = 0
    while made < load.jobs:
        at += dice.gap_s(load.gap_s / 1.9)
        if dice.random.random() * 1.9 < 1 - 0.9 * math.cos(2 * math.pi * at / DAY_S):
            made += 1
            yield dice.job(at, dice.queue())


def adversarial(load: Load) -> Iterator[Arrival]:
    """Every model but one is flooded, and just then the one gets a job; each in its turn.

    A tenth of the flood are runs of the longest kind: some of them start late in a visit.
    """
    return islice(_floods(load), load.jobs)


def _floods(load: Load) -> Iterator[Arrival]:
    dice, at = _Dice(load), 0.0
    longest_s = LONGEST_RUN * load.service_s
    # The flood's mean run is longer, so its jobs are further apart.
    gap_s = load.gap_s * (0.9 + 0.1 * LONGEST_RUN)
    flood = max(1, load.burst_jobs // len(load.queues))
    for victim in cycle(load.queues):
        others = [queue for queue in load.queues * flood if queue != victim]
        for queue in others:
            yield dice.job(at, queue, longest_s if dice.random.random() < 0.1 else None)
        yield dice.job(at + 1e-3, victim)
        at += 1e-3 + dice.gap_s(gap_s * (len(others) + 1))


SHAPES: dict[str, Callable[[Load], Iterator[Arrival]]] = {
    "poisson": poisson,
    "bursts": bursts,
    "diurnal": diurnal,
    "adversarial": adversarial,
}
