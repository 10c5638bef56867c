"""When a queued job will start: its place in line, and how long that usually takes."""

from dataclasses import dataclass

from foreman.core.states import JobState
from foreman.runtime import WebRuntime
from foreman.store.job_rows import JobRow, count_ahead


@dataclass(frozen=True, slots=True)
class Estimate:
    """A queued job's place, from 1, and the seconds until its start; None: not known."""

    position: int
    eta_p50_s: float | None
    eta_p90_s: float | None


def estimate(runtime: WebRuntime, job: JobRow) -> Estimate | None:
    """The place of a queued job in the line of its residency; None for any other job."""
    if job.state != JobState.QUEUED:
        return None
    with runtime.database.statement() as connection:
        ahead = count_ahead(connection, job)
    eta = runtime.prospect.eta(job.queue, ahead, pinned=job.pinned_target)
    if eta.p50_s == float("inf"):
        return Estimate(ahead + 1, None, None)
    return Estimate(ahead + 1, eta.p50_s, eta.p90_s)
