"""A job as the drain policy's simulation sees it: when it came, for what, and what it took."""

from dataclasses import dataclass

from foreman.core.queues import JobClass


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job, recorded or made up."""

    at: float  # seconds, of any clock
    queue: str  # the model queue of its residency
    job_class: JobClass
    seconds: float  # how long it ran on a target
