"""Targets and waiting jobs in a simulation: what a policy sees, and what the engine changes."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass

SwapCost = Callable[[str], float]


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


@dataclass(slots=True, eq=False)
class SimulatedTarget:
    """One target; it is serving `resident`, or going over to `loading`."""

    number: int
    slots: int
    resident: str | None = None
    loading: str | None = None
    running: int = 0
    is_closing: bool = False  # it takes no more jobs of its resident
    visit_at: float = 0.0  # the end of the swap
    visit_jobs: int = 0
    swap_in_s: float = 0.0
    swap_at: float = 0.0
    cause: str = ""  # of the swap that began this visit
    busy_at: float = 0.0  # since when at least one job runs
    busy_s: float = 0.0
    look_at: float = 0.0  # a look without an event is arranged for then
    left_at: dict[str, float] = field(default_factory=dict)  # ends of the last visits

    @property
    def has_free_slot(self) -> bool:
        """Whether it could start a job now."""
        return self.loading is None and self.running < self.slots


@dataclass(slots=True, eq=False)
class Fleet:
    """All targets, all that waits, the time, and what swaps cost."""

    targets: list[SimulatedTarget]
    swap_s: Mapping[str, float]
    now: float = 0.0
    waiting: dict[str, WaitingJobs] = field(default_factory=dict)

    def add(self, job: Arrival) -> None:
        """A job came."""
        waiting = self.waiting.get(job.queue)
        if waiting is None:
            waiting = self.waiting[job.queue] = WaitingJobs()
        waiting.line(job.job_class).append(job)

    def has_work(self, queue: str | None) -> bool:
        """Whether a job of this residency waits."""
        return queue is not None and bool(self.waiting.get(queue))

    def others(self, target: SimulatedTarget) -> list[SimulatedTarget]:
        """All targets but this one."""
        return [each for each in self.targets if each is not target]
