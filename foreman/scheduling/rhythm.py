"""How a residency's jobs follow each other: what lingering and the choice of a victim learn from.

A *gap* is the time from an answer that left the residency without jobs to its next arrival.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

ARRIVALS_KEPT = 32
GAPS_KEPT = 50
LINGERS_KEPT = 16
# Fewer gaps than this predict nothing.
FEWEST_GAPS = 2
# Lingers that must have ended before their result is judged.
FEWEST_LINGERS = 8
# So many of the gaps are outlasted; the longest ones would cost more than they bring.
QUANTILE = 0.9


@dataclass(frozen=True, slots=True)
class Lingered:
    """One linger that is over, in seconds: how long it was, what swap its answer saved (or 0)."""

    seconds: float
    saved_s: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The recent past of one residency."""

    arrivals: tuple[float, ...] = ()  # the last ones, oldest first
    gaps: tuple[float, ...] = ()
    lingers: tuple[Lingered, ...] = ()

    def arrived(self, at: float, gap_s: float | None = None) -> "Rhythm":
        """A job came; `gap_s` since the last answer when the residency had no job until then."""
        arrivals = (*self.arrivals[1 - ARRIVALS_KEPT :], at)
        if gap_s is None:
            return Rhythm(arrivals, self.gaps, self.lingers)
        # While lingering is stopped nothing is learned from it: new gaps bring it back.
        lingers = self.lingers[1:] if self.is_stopped else self.lingers
        return Rhythm(arrivals, (*self.gaps[1 - GAPS_KEPT :], gap_s), lingers)

    def lingered(self, seconds: float, saved_s: float) -> "Rhythm":
        """A linger ended: by a job, which saved a swap of `saved_s`, or without effect (0)."""
        lingers = (*self.lingers[1 - LINGERS_KEPT :], Lingered(seconds, saved_s))
        return replace(self, lingers=lingers)

    def expected_s(self, now: float) -> float:
        """Seconds until its next job, as the last few came; infinite: none ever came.

        The time since the last arrival counts, so a residency that fell silent is expected later
        and later.
        """
        if not self.arrivals:
            return float("inf")
        return max(now - self.arrivals[0], 0.0) / len(self.arrivals)

    @property
    def is_stopped(self) -> bool:
        """Whether the last lingers took more seconds than the swaps that they saved."""
        if len(self.lingers) < FEWEST_LINGERS:
            return False
        return sum(each.saved_s - each.seconds for each in self.lingers) <= 0

    def linger_s(self, swap_s: float) -> float:
        """For how long after an answer the next job is worth waiting for, rather than a swap."""
        if len(self.gaps) < FEWEST_GAPS or self.is_stopped:
            return 0.0
        return _linger_s(self.gaps, swap_s)


NO_RHYTHM = Rhythm()


@lru_cache(maxsize=4096)
def _linger_s(gaps: tuple[float, ...], swap_s: float) -> float:
    if 2 * sum(gap < swap_s for gap in gaps) < len(gaps):
        return 0.0
    ordered = sorted(gaps)
    longest_s = min(swap_s, ordered[min(len(ordered) - 1, int(QUANTILE * len(ordered)))])
    # What it would have brought over these very gaps: a swap less for each that it outlasts.
    answered = [gap for gap in ordered if gap <= longest_s]
    unanswered_s = longest_s * (len(ordered) - len(answered))
    gain_s = swap_s * len(answered) - sum(answered) - unanswered_s
    return longest_s if gain_s > 0 else 0.0
