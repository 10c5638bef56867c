"""What a worker does. Whoever carries an effect out reports what came of it as an event."""

from collections.abc import Mapping
from dataclasses import dataclass

from foreman.core.lease import Lease
from foreman.core.queues import Residency
from foreman.core.residents import LoadRow, ResidentRow
from foreman.errors import ForemanError
from foreman.scheduling.room import Room
from foreman.worker.state import Ask, Idle, Park

# The levels of `Log`, as Python's logging numbers them.
INFO, WARNING, ERROR, CRITICAL = 20, 30, 40, 50

# The broker's thread


@dataclass(frozen=True, slots=True)
class Pull:
    """What the broker's thread does from now on, in place of what it was told before.

    Reports `Message` or, of an `Ask` alone, `Empty`.
    """

    wish: Ask | Park | Idle
    number: int


@dataclass(frozen=True, slots=True)
class Ack:
    """The message has done its work."""

    tag: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """The message goes back to its queue."""

    tag: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """The message is none that could be run: it is kept where an operator finds it."""

    tag: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Drop the broker's connection, whatever its thread waits for in it, and make another."""


# Runs


@dataclass(frozen=True, slots=True)
class StartRun:
    """Hand the message to Celery. Reports `Claimed` and `Ended`, or `Unclaimed`.

    When its residency is not ready, the run waits after its claim, for `Proceed` or `StopRun`.
    """

    tag: int
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Proceed:
    """The run need not wait for a load any more; with an error it ends by that."""

    tag: int
    error: ForemanError | None = None


@dataclass(frozen=True, slots=True)
class StopRun:
    """Hang up on the target; the run ends with this error. `only_silent`: unless it has bytes."""

    tag: int
    error: ForemanError
    only_silent: bool = False


# The target


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel:
    """Unload the victims, see them gone, load. Reports `Loaded` or `LoadEnded`."""

    lease: Lease
    queue: str
    residency: Residency
    victims: tuple[str, ...]  # models
    may_go: tuple[str, ...]  # models that the target may unload, this one first
    keep_alive_s: float | None = None  # None: as the target does; infinite: for good


@dataclass(frozen=True, slots=True)
class Observe:
    """Ask the target what it has loaded. Reports `Observed`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class KeepLoaded:
    """Have a loaded model stay loaded for longer; `keep_alive_s` as in `LoadModel`."""

    lease: Lease
    model: str
    keep_alive_s: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the target for one token. Reports `Probed`."""

    lease: Lease
    model: str


# The database. What is told is written in this order, each when the one before it was.


@dataclass(frozen=True, slots=True)
class Acquire:
    """Take a free target. Reports `Leased` or `NotLeased`."""


@dataclass(frozen=True, slots=True)
class Release:
    """Give the target back."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Look:
    """Read what waits. Reports `Viewed`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class TellLoading:
    """Say what is being loaded and why; None: nothing is, after all."""

    lease: Lease
    queue: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class TellResidents:
    """Say what is loaded."""

    lease: Lease
    residents: tuple[ResidentRow, ...]


@dataclass(frozen=True, slots=True)
class RecordLoad:
    """Write a line of the ledger."""

    lease: Lease
    row: LoadRow


@dataclass(frozen=True, slots=True)
class SaveRoom:
    """Keep what was learned of the target's room."""

    lease: Lease
    room: Room


@dataclass(frozen=True, slots=True)
class TellHealth:
    """Say why the target does no work; None: it does."""

    lease: Lease
    reason: str | None


@dataclass(frozen=True, slots=True)
class DoubtMessages:
    """Report to the relay that rows of this residency wait and the broker has no message."""

    queue: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the process, to be started again."""


@dataclass(frozen=True, slots=True)
class Log:
    """Say something to the operator."""

    level: int
    text: str
    facts: Mapping[str, object]


Effect = (
    Pull
    | Ack
    | Requeue
    | SetAside
    | Reconnect
    | StartRun
    | Proceed
    | StopRun
    | LoadModel
    | Observe
    | KeepLoaded
    | Probe
    | Acquire
    | Release
    | Look
    | TellLoading
    | TellResidents
    | RecordLoad
    | SaveRoom
    | TellHealth
    | DoubtMessages
    | GiveUp
    | Log
)
