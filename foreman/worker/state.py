"""What a worker knows: of its target, of what is loaded there, of the jobs in its hands.

Times are seconds of this process's monotonic clock, except where a name says otherwise. Queues are
residencies' model queues; names are Celery queues, of which a residency has several.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foreman.core.lease import Lease
from foreman.core.outlook import Costs
from foreman.core.waiting import Waiting
from foreman.errors import ForemanError
from foreman.scheduling.rhythm import MOST_CREDIT, Rhythm
from foreman.scheduling.room import Room
from foreman.scheduling.values import Cause, Demand, Plan, VisitRules

LONG_AGO = -math.inf


@dataclass(frozen=True, slots=True)
class Setup:
    """What the settings say, for as long as the process lives."""

    rules: VisitRules
    slots: Mapping[str, int]  # jobs at once of one resident, by target
    lease_s: float
    shutdown_s: float
    pinned: frozenset[str] = frozenset()  # canonical models
    keep_embeddings_s: float = 0.0


class Stage(StrEnum):
    """How far a job in this worker's hands has come."""

    HANDED = "handed"  # Celery has it; its row is not claimed yet
    LOADING = "loading"  # claimed; its residency is on its way
    RUNNING = "running"  # claimed, and with the target


@dataclass(frozen=True, slots=True)
class Job:
    """One message that was handed to Celery, and the run that came of it; it holds a slot."""

    tag: int  # names the message; no two of a process have the same
    job_id: str
    queue: str
    stage: Stage
    since: float  # of its stage
    is_settled: bool = False  # the broker knows that its message is done
    attempts_left: int = 0
    stopped_by: ForemanError | None = None  # asked for before it could be stopped


@dataclass(frozen=True, slots=True)
class Resident:
    """A residency that the target has loaded, and its visit."""

    queue: str
    model: str
    visit_at: float  # the end of its load
    load_s: float | None = None  # what its load cost; None: somebody else loaded it
    jobs: int = 0  # taken in this visit
    answered_at: float = LONG_AGO
    size_bytes: int = 0
    is_pinned: bool = False
    is_closing: bool = False  # takes no more jobs: it is to go
    is_doubted: bool = False  # it may be gone: the next job looks first
    unloads: bool = False  # a job let the target unload it
    lingers_since: float | None = None
    lingers: int = 0  # of this visit that are over, and of these the ones that a job ended
    lingers_answered: int = 0
    linger_wasted_s: float = 0.0


class LoadStage(StrEnum):
    """How far a load has come."""

    PULLING = "pulling"  # the first of its messages is asked for
    CLAIMING = "claiming"  # the row of that message is being claimed
    LOADING = "loading"  # the target is at it


@dataclass(frozen=True, slots=True)
class Load:
    """The one load under way."""

    queue: str
    cause: Cause | None  # None: a repair, of a resident that may be gone
    reason: str
    stage: LoadStage
    since: float  # of its stage
    victims: tuple[str, ...] = ()
    may_go: tuple[str, ...] = ()
    tag: int | None = None  # of the job that it is made for; None: of a pin
    head_wait_s: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What the database and the target's lists said at one moment."""

    at: float  # when the reading began
    took_s: float
    waiting: Mapping[str, tuple[Waiting, ...]]  # by queue: what this target may serve
    names: frozenset[str]  # of all Celery queues with rows, other targets' too
    costs: Costs
    elsewhere: frozenset[str] = frozenset()  # loaded on another live target
    loading_elsewhere: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()  # canonical; those that the target has
    kept: frozenset[str] = frozenset()  # models that are pinned, or kept while they are in use
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes of models' files, by model
    # What follows from the rest, once it was asked for: `steps.plan` says by what key.
    demands: dict[tuple[str, int, float | None, bool], Demand] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )


EMPTY_VIEW = View(LONG_AGO, 0.0, {}, frozenset(), Costs({}))


@dataclass(frozen=True, slots=True)
class Held:
    """A message that came while nothing ran, for a residency that is not loaded: it waits for a
    view by which the rules can judge it."""

    tag: int
    name: str
    queue: str
    job_id: str
    since: float


@dataclass(frozen=True, slots=True)
class Pulls:
    """What the broker's thread was told last, and what it found."""

    wish: "Ask | Park | Idle"
    number: int = 0  # of the wish; its reports name it
    answered: bool = True
    asked_at: float = LONG_AGO
    # Where rows wait and the broker has no message for them: since when, and until when the
    # residency is left out.
    late_since: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, float] = field(default_factory=dict)
    is_connected: bool = False
    resume_at: float = LONG_AGO  # no message is taken before: the database did not answer
    # The newest message or answer to an `Ask`, or the end of what kept it from taking any.
    quiet_since: float = LONG_AGO
    has_reconnected: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Take one message of the first of these queues that has one, at once."""

    names: tuple[str, ...]
    settles: bool  # first let go back what parked consumers may still bring


@dataclass(frozen=True, slots=True)
class Park:
    """Consume from these queues until a message comes."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing; only the connection is kept alive."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the target does real work: its lists prove nothing."""

    is_reachable: bool = False
    sick_of: str | None = None
    cut_jobs: frozenset[str] = frozenset()  # jobs in a row that were cut before a first byte
    model: str = ""  # of the newest run: what a probe asks for
    probe_at: float = LONG_AGO
    probe_pause_s: float = 0.0
    is_probing: bool = False
    told: str | None = ""  # what the target's row says; "": not known


@dataclass(frozen=True, slots=True)
class State:
    """All of it; `step` returns another one."""

    setup: Setup
    now: float
    lease: Lease | None = None
    leased_at: float = LONG_AGO
    renewed_at: float = LONG_AGO
    acquire_at: float = LONG_AGO
    is_acquiring: bool = False
    stop_at: float | None = None  # the worker is stopping: when what still runs is stopped
    residents: Mapping[str, Resident] = field(default_factory=dict)
    load: Load | None = None
    jobs: Mapping[int, Job] = field(default_factory=dict)  # by tag
    held: Held | None = None
    plan: Plan = field(default_factory=Plan)
    plan_saw: tuple[object, ...] = ()  # the same again: the plan holds, see `steps.plan`
    view: View = EMPTY_VIEW
    is_looking: bool = False
    look_at: float = LONG_AGO  # no view is asked for before, unless it is needed
    retry_at: float = LONG_AGO  # nor any, since the database did not answer
    changed_at: float = LONG_AGO  # no older view begins a load
    observe_at: float = LONG_AGO
    is_observing: bool = False
    loaded_at: float = LONG_AGO  # the end of the newest load; no older observation counts
    told: tuple[tuple[str, int, bool], ...] | None = None  # residents, as their rows say
    room: Room = field(default_factory=Room)
    rhythms: Mapping[str, Rhythm] = field(default_factory=dict)  # by queue
    linger_credit: float = MOST_CREDIT  # of the target
    left_at: Mapping[str, float] = field(default_factory=dict)  # ends of visits, by queue
    answered_at: Mapping[str, float] = field(default_factory=dict)  # by queue, loaded or not
    failures: Mapping[str, int] = field(default_factory=dict)  # loads in a row, by queue
    paused_until: Mapping[str, float] = field(default_factory=dict)  # after a failed load
    pins_paused_until: Mapping[str, float] = field(default_factory=dict)  # jobs do not wait for it
    refused: frozenset[str] = frozenset()  # queues that the operator has paused here
    pulls: Pulls = field(default_factory=lambda: Pulls(Idle()))
    health: Health = field(default_factory=Health)
    utilization: float = 0.0
    measured_at: float = LONG_AGO
    undecodable: int = 0
    wake_at: float = math.inf  # the next step comes then at the latest

    @property
    def slots(self) -> int:
        """Jobs at once of one resident."""
        return self.setup.slots[self.lease.target] if self.lease else 0

    @property
    def is_stopping(self) -> bool:
        return self.stop_at is not None

    @property
    def serves(self) -> bool:
        """Whether jobs may be taken: a target is leased, answers, and does real work, and there is
        a broker to take them from."""
        is_well = self.health.is_reachable and self.health.sick_of is None
        has_both = self.lease is not None and self.pulls.is_connected
        return has_both and is_well and not self.is_stopping

    @property
    def loads_by_itself(self) -> bool:
        """Whether a run goes on although its load failed: the target may be loading for it."""
        return any(
            job.stage is Stage.RUNNING
            and job.stopped_by is None
            and job.queue not in self.residents
            for job in self.jobs.values()
        )

    def running(self, queue: str) -> int:
        """The slots of a residency that are taken."""
        return sum(job.queue == queue for job in self.jobs.values())
