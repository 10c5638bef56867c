"""The one task: run a job. Thin, takes an id, may run twice."""

from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery, Task

from celery_app import lifecycle
from foreman.adapters.broker import RUN_JOB
from foreman.errors import WorkerLost


def register(app: Celery) -> None:
    """Add foreman's task to an application."""

    @app.task(name=RUN_JOB, bind=True)
    def generate(task: "Task[Any, Any]", job_id: str) -> None:
        worker = lifecycle.current()
        task_id = str(task.request.id)
        try:
            if worker.keeper.lease is None:
                raise WorkerLost("the target's lease was lost before the job began")
            worker.runner.run(
                UUID(job_id),
                target=worker.keeper.lease.target,
                on_claim=partial(worker.slots.acknowledge, task_id),
            )
        finally:
            worker.slots.free(task_id)
