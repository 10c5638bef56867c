"""The one task: run a job. Thin, takes an id, may run twice."""

from functools import partial
from typing import Any

from celery import Celery, Task

from celery_app import lifecycle
from foreman.adapters.broker import RUN_JOB
from foreman.errors import WorkerLost
from foreman.ids import parse_id


def register(app: Celery) -> None:
    """Add foreman's task to an application."""

    @app.task(name=RUN_JOB, bind=True)
    def generate(task: "Task[Any, Any]", job_id: str) -> None:
        worker = lifecycle.current()
        slot = worker.slots.of(str(task.request.id))
        if slot is None:
            return  # not handed over by the drain: the row waits, and the relay sends its message
        parsed = parse_id(job_id)
        is_looked_at = parsed is None  # no id of ours: nobody else could do anything with it
        try:
            if parsed is None:
                return
            lease = worker.keeper.lease
            if lease is None:
                raise WorkerLost("the target's lease was lost before the job began")
            worker.runner.run(
                parsed,
                target=lease.target,
                on_claim=partial(worker.slots.acknowledge, slot),
                on_rest=partial(worker.slots.free, slot),
            )
            is_looked_at = True
        finally:
            worker.slots.free(slot, is_looked_at=is_looked_at)
