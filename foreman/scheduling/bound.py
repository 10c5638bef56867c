"""Until when a waiting residency is loaded at the latest: the promise, not the forecast.

From the moment when a residency is overdue, only what waits *now* and has gone unserved for longer
is loaded before it; what begins to wait later comes after it. Each of these, and the residents of
that moment, is a turn: a load, the longest minimum dwell that can occur, and one whole run. It
holds while loads take what they took before.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from foreman.core.queues import JobClass
from foreman.scheduling.values import NEVER, Demand, VisitRules
from foreman.scheduling.visits import most_visit_swaps


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn takes at most, in seconds."""

    load_s: float  # the longest load
    dwell_s: float
    run_s: float
    # With room for several, something that fits may be loading when the victims are at rest.
    loads: int

    @property
    def seconds(self) -> float:
        return self.loads * self.load_s + self.dwell_s + self.run_s


def longest_turn(rules: VisitRules, loads_s: Iterable[float], *, places: int | None) -> Turn:
    """A target's longest turn; `loads_s` are those of all residencies that it serves."""
    load_s = max(loads_s, default=0.0)
    dwell_s = most_visit_swaps(rules.min_visit_swaps) * load_s
    return Turn(load_s, dwell_s, rules.job_limit_s, 1 if places == 1 else 2)


def count_ahead(demands: Iterable[Demand], residents: Collection[str]) -> dict[str, int]:
    """How many residencies that wait now have gone unserved for as long as each of these.

    `residents` are loaded, or being loaded: the first turn is theirs. For all at once, since
    sorting is cheaper than comparing each with each.
    """
    since = {
        each.queue: at
        for each in demands
        if each.queue not in residents and (at := each.unserved_since()) < NEVER
    }
    ordered = sorted(since.values())
    return {queue: bisect_right(ordered, at) - 1 for queue, at in since.items()}


def promised_by(
    rules: VisitRules, demand: Demand, job_class: JobClass, *, now: float, turn: Turn, ahead: int
) -> float:
    """The time by which the next visit of `demand` starts, for its oldest job of this class.

    It is true whenever it is asked for, so of two answers the smaller one is. A caller that asks
    again keeps the smaller, and the promise never grows while a job waits.
    """
    head_at = demand.batch_at if job_class is JobClass.BATCH else demand.interactive_at
    if head_at is None:
        return NEVER
    due_at = max(now, head_at + rules.max_wait_s(job_class))
    return due_at + (1 + ahead) * turn.seconds + demand.load_s
