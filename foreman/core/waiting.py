"""What waits in one Celery queue, by its rows."""

from dataclasses import dataclass

from foreman.core.queues import JobClass, class_queue


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long the head of a Celery queue has waited, and how much there is."""

    queue: str  # the residency's model queue
    job_class: JobClass
    pinned_target: str | None  # no other target may run these
    model: str
    wait_s: float
    count: int

    @property
    def name(self) -> str:
        """The Celery queue that holds their messages."""
        return class_queue(self.queue, self.job_class, self.pinned_target)
