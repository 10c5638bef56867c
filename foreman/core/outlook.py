"""What loads cost on a target: as measured, and as expected where nothing was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

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
