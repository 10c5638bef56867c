"""A row: one fault, how long it lasts, and what is promised meanwhile and after it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from tests.chaos.ground import LEASE_S, Ground
from tests.chaos.load import Load, Shape
from tests.fakes.receiver import Answer

# What a busy machine adds to every promise, in seconds; `usual_s` is what nothing broken takes.
SLACK_S, SLACK_SHARE = 5.0, 2.0
BROKERS = ("redis", "rabbitmq")
# Longer than two leases: a web process that could not be seen alive so long counts as gone.
HOLDS_S = 9.0


def slack_s(usual_s: float) -> float:
    """What is added to a promise on a machine where answers usually take so long."""
    return SLACK_S + SLACK_SHARE * usual_s


class Sees(Enum):
    """The worst that a client may see while the fault lasts and until the recovery is due."""

    NOTHING = "nothing"  # every answer is whole
    WAITS = "longer waits"  # the same, and nobody is refused
    ERRORS = "errors"  # an error, in the stream or instead of it; never a silent end


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What must hold, in seconds of the machine's clock."""

    says: str
    recovers_s: float = 2 * LEASE_S
    ends_s: float = 6 * LEASE_S  # all jobs and deliveries, after the load
    sees: Sees = Sees.ERRORS
    cuts: tuple[str, ...] = ()  # web processes whose connections may break without an error
    unready: str | None = None  # what /readyz must name as wrong at the end of the fault
    accepts: bool = False  # POST /jobs is answered with 202 all the time
    unsent: tuple[str, ...] = ()  # receivers that need not get everything
    refused: tuple[str, ...] = ()  # receivers that refuse some attempts: the order may differ


@dataclass(frozen=True)
class Scene:
    """What a fault may break, and the load that runs meanwhile."""

    ground: Ground
    load: Load
    random: Random


Fault = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. The fault lasts `holds_s` at least; 0: what it takes."""

    name: str
    part: str
    does: str
    fault: Fault
    promise: Promise
    holds_s: float = HOLDS_S
    brokers: tuple[str, ...] = BROKERS
    shape: Shape = field(default_factory=Shape)
    receivers: Mapping[str, Answer] = field(default_factory=dict)
    keeps_clients: bool = False  # the JSON has what each client saw
    is_short: bool = False  # one of those that the tests run
