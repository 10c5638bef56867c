"""The one task: run a job. Thin, takes an id, may run twice."""

import logging
from typing import Any

from celery import Celery, Task

from celery_app import process
from foreman.adapters.broker import RUN_JOB
from foreman.errors import DatabaseUnavailable
from foreman.ids import parse_id
from foreman.store import upkeep
from foreman.worker.assembly import Worker
from foreman.worker.task_message import DELIVERY, Delivery

log = logging.getLogger(__name__)


def register(app: Celery) -> None:
    """Add foreman's task to an application, and to no other one of this process."""

    @app.task(name=RUN_JOB, bind=True, shared=False, lazy=False)
    def generate(task: "Task[Any, Any]", job_id: str) -> None:
        worker, delivery = process.current(), task.request.get(DELIVERY)
        if isinstance(delivery, Delivery):
            worker.runner.run(delivery.tag)
        else:
            _send_again(worker, job_id)


def _send_again(worker: Worker, job_id: str) -> None:
    """The message was in a queue of Celery's own, or somebody consumed a model queue.

    It is done, and the relay sends another where it belongs, if the job still waits: at once, or
    as one that was lost when the database does not answer now.
    """
    log.warning("task came by no queue of foreman's", extra={"job": job_id})
    parsed = parse_id(str(job_id))
    if parsed is None:
        return
    try:
        with worker.runtime.database.statement() as connection:
            upkeep.unpublish(connection, [parsed])
    except DatabaseUnavailable as error:
        log.warning("message not sent again yet", extra={"error": str(error)})
