"""The values that the rules take and return.

All times are seconds of one clock, any one that never goes back; `now` is passed in.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from foreman.core.queues import JobClass
from foreman.scheduling.rhythm import NO_RHYTHM, Rhythm
from foreman.scheduling.room import Room

NEVER = math.inf
LONG_AGO = -math.inf


@dataclass(frozen=True, slots=True)
class VisitRules:
    """What the operator sets; None stands for `auto`."""

    max_wait_interactive_s: float = 30.0
    max_wait_batch_s: float = 600.0
    job_limit_s: float = 1800.0  # the enforced end of every run
    min_visit_swaps: float | None = None  # a visit lasts so many of its own loads before a cut
    linger_s: float | None = None  # 0 is off

    def max_wait_s(self, job_class: JobClass) -> float:
        """How long a job of this class waits before its residency is overdue."""
        is_batch = job_class is JobClass.BATCH
        return self.max_wait_batch_s if is_batch else self.max_wait_interactive_s


class Demand(NamedTuple):
    """The waiting jobs of one residency, as one target that can serve it sees them.

    A named tuple: forecasts make one of each residency for each target, every second.
    """

    queue: str  # the residency's model queue
    interactive_at: float | None  # when its oldest interactive job came; None: none waits
    batch_at: float | None
    load_s: float  # what loading it on this target is estimated to cost
    left_at: float = LONG_AGO  # the end of its last visit on this target
    is_elsewhere: bool = False  # another live target has it loaded, and serves it or is ready to
    jobs: int = 1  # how many wait

    def head_at(self) -> float:
        """When its oldest job came."""
        interactive_at, batch_at = self.interactive_at, self.batch_at
        if interactive_at is None:
            return NEVER if batch_at is None else batch_at
        return interactive_at if batch_at is None or interactive_at < batch_at else batch_at

    def unserved_since(self) -> float:
        """Since when it has had work and no visit on this target."""
        head_at = self.head_at()
        return head_at if head_at > self.left_at else self.left_at

    def due_at(self, rules: VisitRules) -> float:
        """When one of its jobs will have waited as long as its class allows."""
        due_at = NEVER
        if self.interactive_at is not None:
            due_at = self.interactive_at + rules.max_wait_interactive_s
        if self.batch_at is not None:
            due_at = min(due_at, self.batch_at + rules.max_wait_batch_s)
        return due_at

    def left_alone_until(self, rules: VisitRules) -> float:
        """Until when it is left to the target that has it loaded; the overdue are left to nobody.

        Until its head has waited as long as a load here would take, it is served sooner there.
        """
        if not self.is_elsewhere:
            return LONG_AGO
        return min(self.head_at() + self.load_s, self.due_at(rules))

    def class_to_take(self, now: float, rules: VisitRules) -> JobClass:
        """The class that the next job is taken from.

        Somebody waits for an interactive job, so it goes first. A steady stream of them would
        keep batch jobs out for ever, so an overdue batch job goes before those that have time.
        """
        if self.batch_at is None:
            return JobClass.INTERACTIVE
        if self.interactive_at is None:
            return JobClass.BATCH
        has_time = now - self.interactive_at < rules.max_wait_interactive_s
        is_batch_first = self.is_batch_late(now, rules) and has_time
        return JobClass.BATCH if is_batch_first else JobClass.INTERACTIVE

    def is_batch_late(self, now: float, rules: VisitRules) -> bool:
        """Whether a batch job has waited for as long as its class allows."""
        return self.batch_at is not None and now - self.batch_at >= rules.max_wait_batch_s


@dataclass(frozen=True, slots=True)
class Resident:
    """A residency that the target has loaded, or is loading, and its visit."""

    queue: str
    load_s: float  # what its load cost
    visit_at: float  # the end of its load; while it loads, the expected end
    running: int = 0
    jobs: int = 0  # taken in this visit
    answered_at: float = LONG_AGO  # the end of its last job in this visit
    rhythm: Rhythm = NO_RHYTHM
    is_pinned: bool = False
    is_closing: bool = False  # an earlier plan closed it
    is_loading: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """All that a target's rules look at."""

    now: float
    residents: Sequence[Resident]
    demands: Sequence[Demand]  # without what another target is just loading
    room: Room = field(default_factory=Room)
    visit_swaps: float = 10.0  # see `visits.visit_swaps`
    missing_pins: Collection[str] = ()  # pinned residencies that are not resident
    linger_credit: float = 0.0  # see `rhythm.MOST_CREDIT`


class Cause(StrEnum):
    """Why a load is made; the ledger's word."""

    FIRST = "first"  # nothing was loaded
    FITS = "fits"  # next to the residents, and nothing is unloaded
    TRIED = "tried"  # it may fit; what the target unloads itself shows whether it does
    DRAINED = "drained"  # its victims had no more work
    OVERDUE = "overdue"  # only the longest wait allowed made this load, or made it now
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """Load `queue` now.

    `victims` are at rest: unload them first. `may_go` are at rest, too: the target may unload
    them itself while it loads, in this order if it can be asked to; those that stay have shown
    that they fit.
    """

    queue: str
    cause: Cause
    reason: str
    victims: tuple[str, ...] = ()
    may_go: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a target does now. Residents that are not `closing` take jobs while they have slots.

    It holds until `look_at`, the next head of a residency that is not resident, the first job of
    a visit, a resident at rest, or the begin or end of a load.
    """

    load: PlannedLoad | None = None
    closing: frozenset[str] = frozenset()  # take no more jobs, until they are at rest
    lingering: frozenset[str] = frozenset()  # by rule 4a: empty, and kept although others wait
    overdue: str | None = None  # the first of the overdue, if it has to wait for a resident to go
    stuck: frozenset[str] = frozenset()  # can never be loaded next to the pinned residents
    look_at: float = NEVER
    reason: str = "nothing waits"
