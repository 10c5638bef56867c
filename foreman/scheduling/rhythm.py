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
# Lingers of residencies with fewer gaps may cost so many loads more than all lingers have saved.
MOST_CREDIT = 2.0
# Lingers that must have ended before their result is judged.
FEWEST_LINGERS = 8
# So many of the gaps are outlasted; the longest ones would cost more than they bring.
QUANTILE = 0.9
# Twice as long: gaps vary, and of the few that are known the longest is soon exceeded. A missed one
# costs a swap, the longer wait only what is left of it.
LONGER = 2.0


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
    # The first answer that no arrival has followed; only as long as there are too few gaps.
    silent_since: float | None = None

    def arrived(self, at: float, gap_s: float | None = None) -> "Rhythm":
        """A job came; `gap_s` since the last answer when the residency had no job until then."""
        arrivals = (*self.arrivals[1 - ARRIVALS_KEPT :], at)
        silent = self.silent_since
        silent_since = silent if silent is not None and at <= silent else None
        if gap_s is None:
            return Rhythm(arrivals, self.gaps, self.lingers, silent_since)
        # While lingering is stopped nothing is learned from it: new gaps bring it back.
        lingers = self.lingers[1:] if self.is_stopped else self.lingers
        return Rhythm(arrivals, (*self.gaps[1 - GAPS_KEPT :], gap_s), lingers, silent_since)

    def answered(self, at: float) -> "Rhythm":
        """A job of it was answered."""
        if self.silent_since is not None or len(self.gaps) >= FEWEST_GAPS:
            return self
        return replace(self, silent_since=at)

    def lingered(self, linger: Lingered) -> "Rhythm":
        """A linger of it ended."""
        return replace(self, lingers=(*self.lingers[1 - LINGERS_KEPT :], linger))

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

    def lingers_until(self, answered_at: float, swap_s: float, credit: float) -> float:
        """Until when the next job is worth waiting for, rather than a swap.

        With too few gaps it is tried for as long as the swap takes, from the first answer that
        could have brought a job: then at most twice is lost what the best choice would have cost.
        `credit` is what all lingers have gained lately, in loads.
        """
        if len(self.gaps) >= FEWEST_GAPS:
            return answered_at + (0.0 if self.is_stopped else _linger_s(self.gaps, swap_s))
        if self.silent_since is None or any(gap >= swap_s for gap in self.gaps):
            return answered_at
        return max(answered_at, self.silent_since + min(credit, 1.0) * swap_s)


NO_RHYTHM = Rhythm()


def credit_after(credit: float, linger: Lingered, load_s: float) -> float:
    """The credit of a target's lingers when one more has ended, of a load that takes `load_s`."""
    if load_s <= 0:
        return credit
    gained = (linger.saved_s - linger.seconds) / load_s
    return min(MOST_CREDIT, max(0.0, credit + gained))


@lru_cache(maxsize=4096)
def _linger_s(gaps: tuple[float, ...], swap_s: float) -> float:
    if 2 * sum(gap < swap_s for gap in gaps) < len(gaps):
        return 0.0
    ordered = sorted(gaps)
    quantile_s = ordered[min(len(ordered) - 1, int(QUANTILE * len(ordered)))]
    longest_s = min(swap_s, LONGER * quantile_s)
    # What it would have brought over these very gaps: a swap less for each that it outlasts.
    answered = [gap for gap in ordered if gap <= longest_s]
    unanswered_s = longest_s * (len(ordered) - len(answered))
    gain_s = swap_s * len(answered) - sum(answered) - unanswered_s
    return longest_s if gain_s > 0 else 0.0
