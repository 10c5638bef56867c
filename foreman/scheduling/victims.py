"""Who makes room: the resident with the lowest (cost to load it again) / (seconds until its next
job) goes first; one with waiting jobs goes only where a visit may be cut, and a pinned one never.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foreman.scheduling.room import Fit, Room
from foreman.scheduling.values import Demand, Resident, VisitRules

# Next to others, an empty resident is kept for so many loads after its last answer ...
PATIENCE_LOADS = 2.0
# ... if each second saves the line so many seconds of waiting for each that one job waits.
LEAST_GAIN = 0.35

Order = tuple[bool, bool, bool, bool, float, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """The residents that have to go for one residency, the least needed first.

    `victims` are unloaded. Whether the others have to go is not known: the target shows it.
    """

    victims: tuple[Resident, ...]
    may_go: tuple[Resident, ...]

    @property
    def all(self) -> tuple[Resident, ...]:
        return self.victims + self.may_go


def choose(
    room: Room, residents: Sequence[Resident], candidates: Iterable[Resident], queue: str
) -> Choice | None:
    """As few of the candidates as make room for `queue`, taken in their order; None: too few.

    Pinned residents come last and are never victims. They may have to go where nothing else is
    left and it is not the operator who says that there is no room.
    """
    staying = [each.queue for each in residents]
    chosen: list[Resident] = []
    for each in candidates:
        if _fits(room, staying, queue):
            break
        staying.remove(each.queue)
        chosen.append(each)
    if not _fits(room, staying, queue):
        return None
    # A large one that came late may have made the small ones before it needless.
    for each in reversed(chosen[:-1]):
        if _fits(room, [*staying, each.queue], queue):
            staying.append(each.queue)
            chosen.remove(each)
    return _split(room, residents, chosen, queue)


def _fits(room: Room, staying: Sequence[str], queue: str) -> bool:
    return room.fit([*staying, queue]) is Fit.FITS


def _split(
    room: Room, residents: Sequence[Resident], chosen: Sequence[Resident], queue: str
) -> Choice:
    """Unload only as many as must go; try the rest."""
    staying = [each.queue for each in residents]
    for number, each in enumerate(chosen):
        if each.is_pinned or room.fit([*staying, queue]) is Fit.UNKNOWN:
            return Choice(tuple(chosen[:number]), tuple(chosen[number:]))
        staying.remove(each.queue)
    return Choice(tuple(chosen), ())


def worth(resident: Resident, now: float) -> float:
    """What is lost if it goes: the cost to load it again, by the second until its next job."""
    expected_s = resident.rhythm.expected_s(now)
    return resident.load_s / expected_s if expected_s > 0 else float("inf")


def least_needed(resident: Resident, now: float, *, has_work: bool) -> Order:
    """The order of victims. One that an earlier plan closed stays the choice."""
    return (
        resident.is_pinned,
        not resident.is_closing,
        has_work,
        resident.running > 0,
        worth(resident, now),
        resident.queue,
    )


def has_dwelt(resident: Resident, now: float, visit_swaps: float) -> bool:
    """Whether its visit may be cut. Never before its first job: targets would swap for ever."""
    return resident.jobs > 0 and now >= dwells_until(resident, visit_swaps)


def dwells_until(resident: Resident, visit_swaps: float) -> float:
    """The end of the minimum dwell."""
    return resident.visit_at + visit_swaps * resident.load_s


def lingers_until(
    resident: Resident,
    rules: VisitRules,
    demand: Demand,
    now: float,
    *,
    is_shared: bool,
    in_line: int = 1,
    credit: float = 0.0,
) -> float:
    """Until when an empty resident is worth keeping, instead of the load that `demand` asks for.

    `is_shared`: the target has other residents, which serve their jobs meanwhile, so it is only
    the jobs of `demand` that each second costs something, all of them. What it gains is the
    resident's worth: a load less, for which each of the `in_line` residencies that wait for one
    would have waited, too.
    """
    if resident.jobs == 0:
        return resident.answered_at
    if rules.linger_s is not None:
        return resident.answered_at + rules.linger_s
    at_most = resident.answered_at + (PATIENCE_LOADS if is_shared else 1.0) * demand.load_s
    if at_most <= now:
        return at_most  # so much for most of them, at no cost
    if is_shared:
        gain = worth(resident, resident.answered_at) * in_line
        if gain >= LEAST_GAIN * demand.jobs:
            return at_most
        credit = 0.0
    return resident.rhythm.lingers_until(resident.answered_at, demand.load_s, credit)
