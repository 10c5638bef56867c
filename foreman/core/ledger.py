"""What first in, first out would have swapped for the same jobs: the other side of the ledger.

Counted while the jobs are served, in bounded memory. The rows of swaps are `foreman.store`'s.
"""

import heapq
from dataclasses import dataclass

# Jobs kept in order of arrival until no older one can come. 64 KiB or so a thousand.
WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Swaps:
    """A number of swaps, and the seconds that they would have cost."""

    count: int
    cost_s: float


class FifoCount:
    """Counts the swaps of a target that would take its jobs strictly in order of arrival.

    Such a target swaps whenever a job's residency differs from that of the job that came before
    it, however the jobs are spaced and whatever they take. Jobs are told as they are served, in
    any order, and kept until `settle` is told that no older one is left. So the count is exact,
    with two exceptions, and in both of them too low, never too high: jobs beyond the window are
    counted before it is certain, and one that is older than what was counted adds nothing.
    """

    def __init__(self, resident: str | None = None, window: int = WINDOW) -> None:
        self._resident = resident  # of the last job that was counted
        self._window = window
        self._served: list[tuple[float, int, str, float]] = []  # a heap, by arrival
        self._told = 0
        self._counted_to = float("-inf")
        self._count, self._cost_s = 0, 0.0

    def served(self, queue: str, *, came_at: float, swap_s: float) -> None:
        """A job of the residency `queue` was taken; it came at `came_at` (seconds, any clock).

        `swap_s` is what a swap to its residency was estimated to cost by then.
        """
        if came_at < self._counted_to:
            return
        self._told += 1  # of equal times, the one taken first came first
        heapq.heappush(self._served, (came_at, self._told, queue, swap_s))
        if len(self._served) > self._window:
            self._count_oldest()

    def settle(self, oldest_waiting_at: float = float("inf")) -> Swaps:
        """The swaps since the last call, of jobs older than all that still wait."""
        while self._served and self._served[0][0] < oldest_waiting_at:
            self._count_oldest()
        swaps = Swaps(self._count, self._cost_s)
        self._count, self._cost_s = 0, 0.0
        return swaps

    def _count_oldest(self) -> None:
        self._counted_to, _, queue, swap_s = heapq.heappop(self._served)
        if queue != self._resident:
            self._resident = queue
            self._count += 1
            self._cost_s += swap_s
