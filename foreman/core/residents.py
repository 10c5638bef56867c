"""What is told of a target's residents and loads: rows, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResidentRow:
    """What is told of one resident."""

    queue: str
    model: str
    size_bytes: int
    is_pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRow:
    """One line of the ledger: a load, and the visits that it ended."""

    queue: str
    model: str
    unloaded: tuple[str, ...]  # queues
    reason: str  # a `Cause`, or "repair"
    cost_s: float | None  # None: the load failed
    was_loaded: bool  # then the cost says nothing of the next load's
    head_wait_s: float | None
    jobs_served: int  # in the visits that ended
    lingers: int  # of those visits; and how many of these a job ended
    lingers_answered: int
    linger_wasted_s: float
