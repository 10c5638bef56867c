"""Targets and waiting jobs in a simulation: what a policy sees, and what the engine changes."""

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.visits import measured


class WaitingJobs:
    """The waiting jobs of one residency, a line for each class, oldest first."""

    __slots__ = ("_gone", "batch", "interactive")

    def __init__(self) -> None:
        self.interactive: deque[Arrival] = deque()
        self.batch: deque[Arrival] = deque()
        self._gone: set[int] = set()  # taken from the middle of a line; never a head

    def __bool__(self) -> bool:
        return bool(self.interactive or self.batch)

    def line(self, job_class: JobClass) -> deque[Arrival]:
        """The line of a class; its first is the head."""
        return self.batch if job_class is JobClass.BATCH else self.interactive

    def take(self, job: Arrival) -> None:
        """Remove a job, wherever in its line it stands."""
        line = self.line(job.job_class)
        if line[0] is not job:
            self._gone.add(id(job))
            return
        line.popleft()
        while self._gone and line and id(line[0]) in self._gone:
            self._gone.remove(id(line.popleft()))


@dataclass(frozen=True, slots=True)
class Memory:
    """The room that a target has in truth; the policies may know it or have to find out."""

    residents: int | None = 1
    size_bytes: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)  # by residency; of the others 0

    def holds(self, queues: Collection[str]) -> bool:
        """Whether they can be loaded together; one alone always can."""
        if len(queues) <= 1:
            return True
        if self.residents is not None and len(queues) > self.residents:
            return False
        if self.size_bytes is None:
            return True
        return sum(self.sizes.get(queue, 0) for queue in queues) <= self.size_bytes

    def listed(self, queues: Collection[str]) -> dict[str, int]:
        """The video memory that each takes, as `/api/ps` lists it.

        What is larger than the memory runs partly without it, and is listed by the rest.
        """
        largest = math.inf if self.size_bytes is None else self.size_bytes
        return {queue: int(min(self.sizes.get(queue, 0), largest)) for queue in queues}


@dataclass(slots=True, eq=False)
class OpenVisit:
    """A residency that a target has loaded, or is loading."""

    queue: str
    cause: str
    load_s: float
    load_at: float
    place: int  # the lowest number that no other resident of the target had
    began_at: float = 0.0  # the end of the load; while it loads, the expected end
    running: int = 0
    jobs: int = 0
    answered_at: float = -math.inf
    is_closing: bool = False  # it takes no more jobs


@dataclass(slots=True, eq=False)
class SimulatedTarget:
    """One target, its residents, and the one that it is loading."""

    number: int
    slots: int  # of each resident
    memory: Memory = Memory()
    residents: dict[str, OpenVisit] = field(default_factory=dict)
    loading: OpenVisit | None = None
    running: int = 0
    busy_at: float = 0.0  # since when at least one job runs, or none
    busy_s: float = 0.0
    look_at: float = 0.0  # a look without an event is arranged for then
    # Something changed that a plan may depend on: see `scheduling.values.Plan`.
    is_changed: bool = True
    left_at: dict[str, float] = field(default_factory=dict)  # ends of the last visits
    _utilization: float = 0.0
    _measured_at: float | None = None

    def utilization(self, now: float) -> float:
        """The share of the last minutes in which jobs ran."""
        if self._measured_at is None:
            return 0.0
        passed_s = now - self._measured_at
        return measured(self._utilization, at_work=self.running > 0, seconds=passed_s)

    def measure(self, now: float) -> None:
        """Called before jobs begin to run, or when the last one has ended."""
        self._utilization = self.utilization(now)
        self._measured_at = now

    @property
    def taken(self) -> list[str]:
        """What is resident, and what is just being loaded."""
        loading = [] if self.loading is None else [self.loading.queue]
        return [*self.residents, *loading]

    def has_free_slot(self, queue: str) -> bool:
        """Whether it could start a job of this residency now."""
        visit = self.residents.get(queue)
        return visit is not None and visit.running < self.slots


@dataclass(slots=True, eq=False)
class Fleet:
    """All targets, all that waits, the time, and what loads cost."""

    targets: list[SimulatedTarget]
    swap_s: Mapping[str, float]
    now: float = 0.0
    waiting: dict[str, WaitingJobs] = field(default_factory=dict)

    def add(self, job: Arrival) -> bool:
        """A job came; whether it is the head of its line."""
        waiting = self.waiting.get(job.queue)
        if waiting is None:
            waiting = self.waiting[job.queue] = WaitingJobs()
        line = waiting.batch if job.job_class is JobClass.BATCH else waiting.interactive
        line.append(job)
        return len(line) == 1

    def has_work(self, queue: str | None) -> bool:
        """Whether a job of this residency waits."""
        return queue is not None and bool(self.waiting.get(queue))

    def others(self, target: SimulatedTarget) -> list[SimulatedTarget]:
        """All targets but this one."""
        return [each for each in self.targets if each is not target]

    def is_loaded(self, queue: str) -> bool:
        """Whether a target has it, or is loading it."""
        return any(
            queue in each.residents or (each.loading and each.loading.queue == queue)
            for each in self.targets
        )
