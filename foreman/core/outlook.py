"""From rows to the policy's values: what waits and what it costs, as lines of one target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from foreman.core.drain import Line
from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting

# A swap's estimate before any was measured on the target.
PRIOR_SWAP_S = 10.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one residency has cost on one target, in seconds."""

    swap_s: float | None  # smoothed; None: never measured
    idle_s: float | None  # since its last visit ended; None: it had none


class Costs:
    """The costs of one target's residencies; of those never measured, what is to be expected."""

    def __init__(self, measured: Mapping[str, Cost]) -> None:
        self._measured = measured
        self.known_s = [each.swap_s for each in measured.values() if each.swap_s is not None]
        self._prior_s = fmean(self.known_s) if self.known_s else PRIOR_SWAP_S

    def swap_s(self, queue: str) -> float:
        cost = self._measured.get(queue)
        return self._prior_s if cost is None or cost.swap_s is None else cost.swap_s

    def swap_and_idle_s(self, queue: str) -> tuple[float, float]:
        """`swap_s` and `idle_s`, in half the time."""
        cost = self._measured.get(queue)
        if cost is None:
            return self._prior_s, float("inf")
        swap_s, idle_s = cost.swap_s, cost.idle_s
        return (
            self._prior_s if swap_s is None else swap_s,
            float("inf") if idle_s is None else idle_s,
        )

    def idle_s(self, queue: str) -> float:
        cost = self._measured.get(queue)
        return float("inf") if cost is None or cost.idle_s is None else cost.idle_s


def line_of(queue: str, waiting: Sequence[Waiting], costs: Costs, *, is_elsewhere: bool) -> Line:
    """The line of one residency; `waiting` are its Celery queues that this target may serve."""
    waits: dict[JobClass, float] = {}
    for each in waiting:
        waits[each.job_class] = max(each.wait_s, waits.get(each.job_class, 0.0))
    return Line(
        queue,
        waits.get(JobClass.INTERACTIVE),
        waits.get(JobClass.BATCH),
        costs.swap_s(queue),
        costs.idle_s(queue),
        is_elsewhere,
    )


def line_beside(
    queue: str,
    waiting: Sequence[Waiting],
    costs: Costs,
    *,
    is_resident_elsewhere: bool,
    is_loading_elsewhere: bool,
) -> Line | None:
    """The line of a residency that other targets may have, as the target sees it that does not.

    None: it is left to the one that is loading it. What no other may take is left to nobody, and
    then it is all that counts: the others' jobs are served sooner there.
    """
    own = [each for each in waiting if each.pinned_target]
    if (is_resident_elsewhere or is_loading_elsewhere) and own:
        return line_of(queue, own, costs, is_elsewhere=False)
    if is_loading_elsewhere:
        return None
    return line_of(queue, waiting, costs, is_elsewhere=is_resident_elsewhere)
