"""Jobs that have run, as arrivals: what a simulation runs again with other settings."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, func, select

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.store.models import Job


def recorded_arrivals(
    connection: Connection, *, since: datetime, until: datetime
) -> Iterator[Arrival]:
    """The jobs accepted in this time that have run and ended, oldest first.

    The time that the target spent on loading a model is not counted to a job: swaps are made anew.
    """
    run = func.extract("epoch", Job.ended_at - Job.working_at) - func.coalesce(Job.load_s, 0.0)
    statement = (
        select(
            func.extract("epoch", Job.created_at),
            Job.queue,
            Job.job_class,
            run,
        )
        .where(Job.created_at >= since, Job.created_at < until)
        .where(Job.working_at.is_not(None), Job.ended_at.is_not(None))
        .order_by(Job.created_at, Job.id)
    )
    for at, queue, job_class, seconds in connection.execute(statement):
        yield Arrival(float(at), queue, JobClass(job_class), max(0.0, float(seconds)))
