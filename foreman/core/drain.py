"""The drain policy: values in, a decision out, nothing else.

Which residency a target serves next. How a worker carries it out is `celery_app.drain`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """One model queue that has work: how long its head has waited, how much there is."""

    queue: str
    model: str
    head_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Serve `queue` next, or, when it is None, listen to all; with the reason in words."""

    queue: str | None
    reason: str


def decide(*, resident: str | None, running: int, waiting: Sequence[Waiting]) -> Decision:
    """Say which model queue the target takes its next job from.

    `resident` is the queue of the visit so far, `running` its jobs on the target now, `waiting`
    every queue that the target can serve and that has work.
    """
    # 1. Jobs of the resident are running: only its own may join them.
    if running and resident:
        return Decision(resident, "jobs of the resident queue are running")
    # 2. The resident has work: stay. Exhaustive service makes the fewest swaps.
    if any(each.queue == resident for each in waiting):
        return Decision(resident, "the resident queue has work")
    # 3. Others have work: the one whose head is oldest.
    if waiting:
        oldest = min(waiting, key=lambda each: each.head_at)
        return Decision(oldest.queue, "the resident queue is drained; this head is the oldest")
    # 4. Nobody has: stay loaded, take the first job that comes from anywhere.
    return Decision(None, "nothing waits")
