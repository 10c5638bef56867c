"""A worker's right to drive one target."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """Held until it runs out; the fence rises each time that somebody takes the target."""

    target: str
    fence: int
