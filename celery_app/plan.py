"""What this worker's target does next: the policy's decision over what the database knows.

Decisions are `foreman.core.drain`'s; here its values are gathered, and a decision is turned into
the names of Celery queues.
"""

import time
from collections import defaultdict
from statistics import fmean

from celery_app.worker import Worker
from foreman.core.drain import (
    Action,
    Decision,
    Line,
    Rules,
    Waiting,
    class_to_take,
    decide,
)
from foreman.core.queues import JobClass, Residency, class_queue
from foreman.store import swaps

# How old the picture may be that decides whether a visit goes on; its waits are 30 s and more.
LOOK_EVERY_S = 0.25
# A swap's estimate before any was measured on this target.
PRIOR_SWAP_S = 10.0


class Plan:
    """The picture of what waits, and what follows from it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        settings = worker.runtime.settings
        self.rules = Rules(
            max_wait_interactive_s=settings.max_wait_interactive_s,
            max_wait_batch_s=settings.max_wait_batch_s,
            kappa=settings.swap_kappa,
            job_limit_s=settings.job_timeout_s,
        )
        self._looked_at = float("-inf")
        self._outlook = swaps.Outlook([], {}, frozenset(), frozenset())
        self._waiting: dict[str, list[Waiting]] = {}
        self._empty: set[str] = set()  # rows wait there, and the broker has no message for them
        self.decision = Decision(Action.LISTEN, None, "just started")

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self._looked_at > LOOK_EVERY_S

    def look(self) -> None:
        """Take a new picture."""
        lease = self._worker.keeper.lease
        if lease is None:
            return
        with self._worker.runtime.database.statement() as connection:
            self._outlook = swaps.read_outlook(connection, lease.target)
        self._looked_at = time.monotonic()
        self._waiting, self._empty = defaultdict(list), set()
        for each in self._outlook.waiting:
            if self._may_serve(each, lease.target):
                self._waiting[each.queue].append(each)

    def decide(self) -> Decision:
        """Decide anew, by the picture that is here."""
        visit = self._worker.visit
        self.decision = decide(
            rules=self.rules,
            resident=visit.queue,
            dwell_s=visit.dwell_s,
            running=self._worker.slots.running,
            lines=self._lines(),
            swap_in_s=visit.swap_s,
        )
        return self.decision

    def note_empty(self, queue: str) -> None:
        """The broker has no message of these rows yet, or lost them: leave them out for now."""
        self._empty.add(queue)

    def longest_wait_s(self) -> float:
        """How long the oldest of all jobs has waited that this target could serve."""
        return max((w.wait_s for each in self._waiting.values() for w in each), default=0.0)

    def names(self, queue: str) -> list[str]:
        """The Celery queues of a residency that have work, in the order in which to ask them."""
        waiting = self._waiting.get(queue, [])
        line = _line(queue, waiting, 0.0, 0.0, is_elsewhere=False)
        first = class_to_take(line, self.rules)
        # Jobs that only this target may run come before those that others may take.
        waiting = sorted(
            waiting, key=lambda each: (each.job_class != first, not each.pinned_target)
        )
        names = [each.name for each in waiting]
        return names if names else self.all_names(queue)

    def all_names(self, queue: str) -> list[str]:
        """Both classes of a residency, whether they have work or not."""
        return [class_queue(queue, each) for each in JobClass]

    def known(self) -> set[str]:
        """All Celery queues that an idle target listens to."""
        worker = self._worker
        lease = worker.keeper.lease
        if lease is None or not worker.may_serve():
            return set()
        models = worker.runtime.catalog.models_of(lease.target)
        queues = {Residency(model).queue for model in models}
        # Rows of runner options, which no list of models names, and of jobs for this target alone.
        noticed = {w.name for q, each in self._waiting.items() for w in each if self._is_open(q)}
        own = {worker.visit.queue} if worker.visit.queue else set()
        open_queues = {queue for queue in queues | own if self._is_open(queue)}
        return noticed.union(*(self.all_names(queue) for queue in open_queues))

    def _is_open(self, queue: str) -> bool:
        """Whether an idle target takes a job of this residency the moment it comes."""
        visit = self._worker.visit
        if visit.is_paused(queue):
            return False
        elsewhere = self._outlook.elsewhere | self._outlook.loading_elsewhere
        return queue == visit.queue or queue not in elsewhere

    def _may_serve(self, waiting: Waiting, target: str) -> bool:
        if waiting.pinned_target not in (None, target):
            return False
        found = self._worker.runtime.catalog.look_up(waiting.model)
        # What no target has any more, any may take: its answer says so in Ollama's own words.
        return found is None or target in found.targets

    def _lines(self) -> list[Line]:
        known = [each.swap_s for each in self._outlook.costs.values() if each.swap_s is not None]
        prior_s = fmean(known) if known else PRIOR_SWAP_S
        lines = []
        for queue, waiting in self._waiting.items():
            if queue in self._empty or self._worker.visit.is_paused(queue):
                continue
            if queue in self._outlook.loading_elsewhere and queue != self._worker.visit.queue:
                continue
            cost = self._outlook.costs.get(queue, swaps.Cost(None, None))
            swap_s = prior_s if cost.swap_s is None else cost.swap_s
            idle_s = float("inf") if cost.idle_s is None else cost.idle_s
            is_elsewhere = queue in self._outlook.elsewhere
            lines.append(_line(queue, waiting, swap_s, idle_s, is_elsewhere=is_elsewhere))
        return lines


def _line(
    queue: str, waiting: list[Waiting], swap_s: float, idle_s: float, *, is_elsewhere: bool
) -> Line:
    waits: dict[JobClass, float] = {}
    for each in waiting:
        waits[each.job_class] = max(each.wait_s, waits.get(each.job_class, 0.0))
    return Line(
        queue,
        waits.get(JobClass.INTERACTIVE),
        waits.get(JobClass.BATCH),
        swap_s,
        idle_s,
        is_elsewhere,
    )
