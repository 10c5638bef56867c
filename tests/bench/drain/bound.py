"""The bound that GET /queues prints while the trace runs, and whether anything was beyond it."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from foreman.core.queues import canonical_name
from tests.bench.drain.observed import Bounds, Observed
from tests.bench.drain.trace import MODELS
from tests.stack import Stack

EVERY_S = 0.5


class BoundWatch:
    """Asks GET /queues twice a second, between `with` and its end."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bounds", daemon=True)
        self.printed: list[tuple[float, Bounds]] = []

    def __enter__(self) -> "BoundWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._has_ended.set()
        self._thread.join()

    def _watch(self) -> None:
        names = {canonical_name(model): model for model in MODELS}
        while not self._has_ended.wait(EVERY_S):
            asked_at = time.time()
            (queues,) = self._stack.get("/queues").lines
            bounds = {
                names[each["model"]]: float(each["bound_s"]["interactive"])
                for each in queues["data"]
                if "interactive" in each["bound_s"]
            }
            self.printed.append((asked_at, bounds))


@dataclass(frozen=True, slots=True)
class Held:
    """A wait, and how long it might have taken by the earliest promise made while it lasted."""

    waited_s: float
    bound_s: float


def hold_visits(run: Observed) -> list[Held]:
    """Of each visit: how long its residency had work and no visit, which is what is promised."""
    held, left_at = [], dict.fromkeys(MODELS, float("-inf"))
    for visit in run.visits:
        began_at = run.began_at + visit.began_at
        heads = [
            each.sent_at
            for each in run.answered
            if each.model == visit.queue and each.sent_at < began_at <= run.starts[each.job_id]
        ]
        since = max(min(heads), left_at[visit.queue])
        held += _held(run, visit.queue, since, began_at)
        left_at[visit.queue] = run.began_at + visit.ended_at
    return held


def hold_jobs(run: Observed) -> list[Held]:
    """Of each job: from sending to the start of its own generation; nobody promises that."""
    held = []
    for each in run.answered:
        held += _held(run, each.model, each.sent_at, run.starts[each.job_id])
    return held


def beyond(held: Sequence[Held]) -> int:
    return sum(each.waited_s > each.bound_s for each in held)


def _held(run: Observed, model: str, since: float, until: float) -> list[Held]:
    """One, or none: it waited for less time than lies between two looks."""
    assert run.ledger is not None
    # What is printed is what was true a second ago at most, so each is that much too late.
    promised = [
        at + bounds[model]
        for at, bounds in run.ledger.printed
        if since <= at <= until and model in bounds
    ]
    return [Held(until - since, min(promised) - since)] if promised else []
