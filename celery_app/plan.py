"""What this worker's target does next: the policy's decision over what the database knows.

Decisions are `foreman.core.drain`'s; here its values are gathered, and a decision is turned into
the names of Celery queues.
"""

import logging
import time
from collections import defaultdict

from celery_app.worker import Worker
from foreman.config import Settings
from foreman.core.drain import Action, Decision, Line, Rules, class_to_take, decide
from foreman.core.outlook import Costs, line_beside, line_of
from foreman.core.queues import JobClass, Residency, class_queue
from foreman.core.waiting import Waiting
from foreman.scheduling.visits import FEWEST_SWAPS
from foreman.store.outlook import Outlook, read_outlook

log = logging.getLogger(__name__)

# How old the picture may be that decides whether a visit goes on; its waits are 30 s and more.
LOOK_EVERY_S = 0.25
# With very many rows a look takes longer: then at most a tenth of the time is spent on it.
LOOK_SHARE = 10
# Consumers bring what is on its way; so long a lost message does not end a visit in vain.
EMPTY_S = 2.0
# Who keeps embedding models loaded asks for them itself.
KEEPS_NONE_S = 0.0


def _rules_of(settings: Settings) -> Rules:
    """What the drain policy decides by."""
    swaps = settings.min_visit_swaps
    return Rules(
        max_wait_interactive_s=settings.max_wait_interactive_s,
        max_wait_batch_s=settings.max_wait_batch_s,
        kappa=FEWEST_SWAPS if swaps is None else swaps,
        job_limit_s=settings.job_timeout_s,
    )


class Plan:
    """The picture of what waits, and what follows from it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.rules = _rules_of(worker.runtime.settings)
        self._looked_at = float("-inf")
        self._look_every_s = LOOK_EVERY_S
        self._outlook = Outlook([], {}, frozenset(), frozenset(), frozenset())
        self._waiting: dict[str, list[Waiting]] = {}
        # Rows wait there, and the broker had no message for them: until when they are left out.
        self._empty: dict[str, float] = {}
        self.decision = Decision(Action.LISTEN, None, "just started")

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self._looked_at > self._look_every_s

    def look(self) -> None:
        """Take a new picture."""
        lease = self._worker.keeper.lease
        if lease is None:
            return
        began_at = time.monotonic()
        with self._worker.runtime.database.statement() as connection:
            self._outlook = read_outlook(connection, lease.target, keep_embeddings_s=KEEPS_NONE_S)
        self._looked_at = time.monotonic()
        mine: dict[str, list[Waiting]] = defaultdict(list)
        for each in self._outlook.waiting:
            if self._may_serve(each, lease.target):
                mine[each.queue].append(each)
        self._waiting = mine  # at once: other threads read it, too
        now = time.monotonic()
        self._empty = {queue: until for queue, until in self._empty.items() if until > now}
        self._look_every_s = max(LOOK_EVERY_S, LOOK_SHARE * (now - began_at))

    def decide(self) -> Decision:
        """Decide anew, by the picture that is here."""
        visit = self._worker.visit
        self.decision = decide(
            rules=self.rules,
            resident=visit.queue,
            dwell_s=visit.dwell_s,
            running=self._worker.slots.running,
            lines=self._lines(),
            swap_in_s=self._swap_in_s(),
            visit_jobs=visit.jobs_served,
        )
        return self.decision

    def _swap_in_s(self) -> float:
        """What the visit has cost; what it would have cost, if nothing had to be loaded."""
        visit = self._worker.visit
        if visit.swap_s is not None or visit.queue is None:
            return visit.swap_s or 0.0
        return Costs(self._outlook.costs).swap_s(visit.queue)

    def note_empty(self, queue: str) -> None:
        """The broker has no message of these rows yet, or lost them: leave them out for now."""
        log.info("rows wait, and the broker has no message of them", extra={"queue": queue})
        self._empty[queue] = time.monotonic() + EMPTY_S

    def note_found(self, queue: str) -> None:
        """The broker has messages of these rows after all: they count again, at once."""
        self._empty.pop(queue, None)

    def has_others(self, queue: str) -> bool:
        """Whether another residency than `queue` waits for this target."""
        return any(line.queue != queue for line in self._lines())

    def names(self, queue: str) -> list[str]:
        """The Celery queues of a residency to ask, in this order.

        By the picture: where it shows no rows, the caller listens and need not ask. While others
        wait it does not listen, and what comes for the resident is found by asking alone.
        """
        waiting = self._waiting.get(queue, [])
        line = line_of(queue, waiting, Costs({}), is_elsewhere=False)
        first = class_to_take(line, self.rules)
        # Jobs that only this target may run come before those that others may take.
        waiting = sorted(
            waiting, key=lambda each: (each.job_class != first, not each.pinned_target)
        )
        names = [each.name for each in waiting]
        return self.all_names(queue) if not names and self.has_others(queue) else names

    def all_names(self, queue: str) -> list[str]:
        """Both classes of a residency, whether they have work or not."""
        return [class_queue(queue, each) for each in JobClass]

    def counts(self) -> dict[str, int]:
        """How many jobs wait in each Celery queue, by the newest picture."""
        return {each.name: each.count for waiting in self._waiting.values() for each in waiting}

    def has_rows(self, *names: str) -> bool:
        """Whether any job waits whose message would be in one of these Celery queues."""
        return any(each.name in names for each in self._outlook.waiting)

    def may_begin(self, queue: str) -> bool:
        """Whether a visit to this residency may begin now: it is decided, or it is open to all."""
        is_open = self.decision.queue == queue or self._is_open(queue)
        return is_open and queue in self._waiting

    def overlooked_s(self) -> float:
        """How long the oldest job has waited that this target should have taken; 0.0: none."""
        lease = self._worker.keeper.lease
        if lease is None:
            return 0.0
        with self._worker.runtime.database.statement() as connection:
            outlook = read_outlook(connection, lease.target, keep_embeddings_s=KEEPS_NONE_S)
        mine = (each for each in outlook.waiting if self._may_serve(each, lease.target))
        # Where the broker has just said that there is no message, it is not this worker's fault.
        heard = (e for e in mine if self._is_open(e.queue) and e.queue not in self._empty)
        return max((each.wait_s for each in heard), default=0.0)

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
        return queue == visit.queue or queue not in elsewhere or self._is_mine_alone(queue)

    def _is_mine_alone(self, queue: str) -> bool:
        """Whether jobs of it wait that no other target may take."""
        return any(each.pinned_target for each in self._waiting.get(queue, ()))

    def _may_serve(self, waiting: Waiting, target: str) -> bool:
        if waiting.pinned_target not in (None, target):
            return False
        found = self._worker.runtime.catalog.look_up(waiting.model)
        # What no target has any more, any may take: its answer says so in Ollama's own words.
        return found is None or target in found.targets

    def _lines(self) -> list[Line]:
        visit, outlook = self._worker.visit, self._outlook
        costs = Costs(outlook.costs)
        lines = []
        for queue, waiting in self._waiting.items():
            if queue in self._empty or visit.is_paused(queue):
                continue
            is_other = queue != visit.queue
            line = line_beside(
                queue,
                waiting,
                costs,
                is_resident_elsewhere=is_other and queue in outlook.elsewhere,
                is_loading_elsewhere=is_other and queue in outlook.loading_elsewhere,
            )
            if line is not None:
                lines.append(line)
        return lines
