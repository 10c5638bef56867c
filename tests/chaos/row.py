"""A row: one fault, how long it lasts, and what is promised meanwhile and after it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from tests.chaos.ground import Ground
from tests.chaos.load import Load, Shape
from tests.chaos.values import Times
from tests.fakes.receiver import Answer

# What a busy machine adds to every promise, with the share of what an answer usually takes.
SLACK_S, SLACK_SHARE = 5.0, 2.0
BROKERS = ("redis", "rabbitmq")
# Longer than two leases: a web process that could not be seen alive so long counts as gone.
HOLDS = 2.5


def slack_s(times: Times) -> float:
    """What is added to every promise, for the machine."""
    return SLACK_S + SLACK_SHARE * times.usual_s


class Sees(Enum):
    """The worst that a client may see while the fault lasts and until the recovery is due."""

    NOTHING = "nothing"  # every answer is whole
    WAITS = "longer waits"  # the same, and nobody is refused
    ERRORS = "errors"  # an error, in the stream or instead of it; never a silent end


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What must hold; times are in leases, so that they hold for any `FOREMAN_LEASE_S`."""

    says: str
    recovers: float = 2
    ends: float = 6  # all jobs and deliveries, after the load
    also_s: float = 0  # in addition to `ends`, in seconds: a pause that no lease decides
    sees: Sees = Sees.ERRORS
    cuts: tuple[str, ...] = ()  # web processes whose connections may break without an error
    unready: str | None = None  # what /readyz must name as wrong at the end of the fault
    accepts: bool = False  # POST /jobs is answered with 202 all the time
    unsent: tuple[str, ...] = ()  # receivers that need not get everything
    refused: tuple[str, ...] = ()  # receivers that refuse some attempts: the order may differ

    def recovers_s(self, times: Times) -> float:
        """Seconds from the end of the fault until everything is answered again."""
        return self.recovers * times.lease_s + slack_s(times)

    def ends_s(self, times: Times) -> float:
        """Seconds from the end of the load until everything has ended."""
        return self.ends * times.lease_s + self.also_s + slack_s(times)


@dataclass(frozen=True)
class Scene:
    """What a fault may break, and the load that runs meanwhile."""

    ground: Ground
    load: Load
    random: Random


Fault = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. The fault lasts `holds` leases; 0: what it takes."""

    name: str
    part: str
    does: str
    fault: Fault
    promise: Promise
    holds: float = HOLDS
    brokers: tuple[str, ...] = BROKERS
    shape: Shape = field(default_factory=Shape)
    receivers: Mapping[str, Answer] = field(default_factory=dict)
    keeps_clients: bool = False  # the JSON has what each client saw
    is_short: bool = False  # one of those that the tests run
