"""What a policy decides, and what the engine reports to it."""

import math
from dataclasses import dataclass
from typing import Protocol

from foreman.core.arrivals import Arrival
from foreman.simulation.drain.fleet import Fleet, OpenVisit, SimulatedTarget

# A look arranged for the same instant would be arranged again and again.
SHORTEST_LOOK_S = 1e-6


@dataclass(frozen=True, slots=True)
class Bring:
    """Load a residency: `victims` are unloaded first, `may_go` where the target has to."""

    queue: str
    cause: str
    victims: tuple[str, ...] = ()
    may_go: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until the next event, or until this many seconds have gone by."""

    look_in_s: float = math.inf


Step = Arrival | Bring | Rest
RESTED = Rest()


class Policy(Protocol):
    """Decides for one target at a time: start this job, load that residency, or rest."""

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        """A job has come; the fleet has it among the waiting already."""

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        """What the target does now."""

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """A job of this visit ended."""

    def loaded(self, target: SimulatedTarget, before: tuple[str, ...], fleet: Fleet) -> None:
        """A load ended; `before` it these were resident, and foreman had unloaded none of them."""

    def unloaded(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """A resident went."""


class Indifferent:
    """A policy that remembers nothing of what happens on targets."""

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        """Nothing to remember."""

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """Nothing to remember."""

    def loaded(self, target: SimulatedTarget, before: tuple[str, ...], fleet: Fleet) -> None:
        """Nothing to remember."""

    def unloaded(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        """Nothing to remember."""
