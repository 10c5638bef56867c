"""What happens to a worker. Each is said by the one thread that saw it, in the order it saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from foreman.core.lease import Lease
from foreman.core.queues import Residency
from foreman.errors import ForemanError
from foreman.scheduling.room import Room
from foreman.worker.state import View


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


# The lease


@dataclass(frozen=True, slots=True)
class Leased:
    """The worker has a target; what it had loaded and had been learned of its room, by its rows."""

    lease: Lease
    began_at: float  # of the request for it
    residents: tuple[tuple[str, str], ...]  # queue, model; none while a load was never finished
    room: Room


@dataclass(frozen=True, slots=True)
class NotLeased:
    """All targets are held by others, or the database does not answer."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease was renewed by a request that began at `began_at`."""

    lease: Lease
    began_at: float


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Somebody else holds the target by now."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Reached:
    """The target began to answer, or stopped."""

    is_reachable: bool


# The database and the target, looked at


@dataclass(frozen=True, slots=True)
class Viewed:
    """What waits, as `effects.Look` found it; None: the database did not answer."""

    lease: Lease
    view: View | None


@dataclass(frozen=True, slots=True)
class Listed:
    """One model that the target says it has loaded."""

    model: str  # canonical name
    size_bytes: int
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What the target said it has loaded (None: it did not say), asked at `began_at`."""

    began_at: float
    listed: Mapping[str, Listed] | None  # by model


# Messages


@dataclass(frozen=True, slots=True)
class Message:
    """A message came from the Celery queue `name`; it is unsettled until an effect settles it."""

    tag: int
    name: str
    job_id: str | None  # None: it is no task that Celery could run
    number: int  # of the wish that brought it


@dataclass(frozen=True, slots=True)
class Empty:
    """The queues of the newest `Ask` hold no message."""

    number: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker's thread has a connection: of an older one nothing is unsettled, or asked for."""

    is_connected: bool


# Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The row of a handed job is this worker's."""

    tag: int
    model: str
    residency: Residency  # as its body says
    waited_s: float
    attempts_left: int


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """The task of a handed job has ended without a run: its row waits no more, or was not looked
    at, and then its message goes back."""

    tag: int
    is_looked_at: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The target has done its part of a run; how the job ends is still to be recorded."""

    tag: int
    error: ForemanError | None
    has_bytes: bool  # of an answer
    unloads: bool  # the request lets the target unload the model


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody wants a job stopped, if it runs here."""

    job_id: str


# Loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The target has the residency; `before` is what stayed of what it had, by model, in bytes,
    once the victims were gone, `after` what it lists now (None: it does not say)."""

    lease: Lease
    queue: str
    cost_s: float
    was_loaded: bool
    before: Mapping[str, int] | None
    after: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """The load has failed."""

    lease: Lease
    queue: str
    error: ForemanError


@dataclass(frozen=True, slots=True)
class Probed:
    """A sick target was asked for a token; None: it gave one."""

    lease: Lease
    why: str | None


# The operator


@dataclass(frozen=True, slots=True)
class Refuse:
    """Take no more jobs of a model queue here, or take them again."""

    queue: str
    is_refused: bool


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The process is to end: nothing more is taken."""


Event = (
    Tick
    | Leased
    | NotLeased
    | Renewed
    | LeaseLost
    | Reached
    | Viewed
    | Observed
    | Message
    | Empty
    | Connected
    | Claimed
    | Unclaimed
    | Ended
    | CancelAsked
    | Loaded
    | LoadEnded
    | Probed
    | Refuse
    | StopAsked
)
