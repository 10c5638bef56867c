"""What the client hands back, and the two errors that carry a job."""

from __future__ import annotations  # Python 3.9

from dataclasses import dataclass, field, fields
from typing import Any

from foreman.client.refusals import ClientError, Refused, refused

END_STATES = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True)
class Job:
    """A job as foreman shows it; times are ISO 8601 texts in UTC, and None until they come."""

    id: str
    state: str
    phase: str | None
    source: str
    endpoint: str
    model: str
    priority: str
    target: str | None
    client: str | None
    metadata: dict[str, Any]
    retry_of: str | None
    attempt: int
    max_attempts: int
    seq: int
    created_at: str
    working_at: str | None
    ended_at: str | None
    target_status: int | None
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    queue: dict[str, Any] | None
    # Made by foreman for the job's webhook: only of a job that was submitted just now.
    webhook_secret: str | None = field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        return self.state in END_STATES

    @classmethod
    def read(cls, shown: dict[str, Any]) -> Job:
        """From foreman's JSON; what a newer foreman says besides is left out."""
        known: dict[str, Any] = {each.name: shown.get(each.name) for each in fields(cls)}
        return cls(**known)


@dataclass(frozen=True)
class Event:
    """One transition of a job."""

    seq: int
    state: str
    attempt: int
    reason: str | None
    at: str


@dataclass(frozen=True)
class Line:
    """What became of one line of a batch: the id of its job, or the error."""

    index: int
    job_id: str | None
    error: Refused | None
    webhook_secret: str | None = field(default=None, repr=False)  # as of a Job


def read_line(shown: dict[str, Any]) -> Line:
    problem = shown.get("error")
    error = refused(shown["status"], problem, "") if problem else None
    if error:
        error.retry_after_s = shown.get("retry_after_s")
    return Line(shown["index"], shown.get("id"), error, shown.get("webhook_secret"))


class StillRunning(ClientError):
    """The job has not ended within the time that was given."""

    def __init__(self, job: Job, limit_s: float) -> None:
        super().__init__(f"job {job.id} is {job.state} after {limit_s:g} s")
        self.job = job


class Unsuccessful(ClientError):
    """The job ended without a result."""

    def __init__(self, job: Job) -> None:
        why = f": {job.error['message']}" if job.error else ""
        super().__init__(f"job {job.id} is {job.state}{why}")
        self.job = job
