"""The one log line of a job that was accepted: what it is, and where it comes from."""

import logging

from foreman.store.accept import AcceptedJob
from foreman.store.jobs import NewJob

log = logging.getLogger(__name__)


def log_accepted(job: NewJob | AcceptedJob) -> None:
    """Log a job that was accepted alone; a batch has one line for each of its statements."""
    facts = {"job_id": str(job.id), "endpoint": job.endpoint, "model": job.model}
    log.info("job accepted", extra=facts | {"job_class": job.job_class.value} | job.origin.facts())


def log_batch(jobs: list[AcceptedJob]) -> None:
    """Log jobs that one statement has accepted; `GET /jobs` lists them by their client."""
    if jobs:
        facts: dict[str, object] = {"count": len(jobs), "first_job_id": str(jobs[0].id)}
        log.info("batch of jobs accepted", extra=facts | jobs[0].origin.facts())
