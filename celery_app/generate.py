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

NO_JOB = (
    "task came by no queue of foreman's: a job is a row first; create it with POST /jobs,"
    " `foreman jobs submit` or foreman.client"
)


def register(app: Celery) -> None:
    """Add foreman's task to an application, and to no other one of this process."""

    @app.task(name=RUN_JOB, bind=True, shared=False, lazy=False)
    def generate(task: "Task[Any, Any]", /, *arguments: object, **options: object) -> None:
        worker, delivery = process.current(), task.request.get(DELIVERY)
        if isinstance(delivery, Delivery):
            worker.runner.run(delivery.tag)
        else:
            _send_again(worker, *arguments)


def _send_again(worker: Worker, job_id: object = None, *_: object) -> None:
    """The message was in a queue of Celery's own: `celery call`, or who consumed a model queue.

    It is done, and the relay sends another where it belongs, if there is a job that waits: at once,
    or as one that was lost when the database does not answer now.
    """
    parsed = parse_id(str(job_id))
    # Not the arguments: they may be somebody's prompt.
    log.warning(NO_JOB, extra={"job_id": str(parsed) if parsed else None})
    if parsed is None:
        return
    try:
        with worker.runtime.database.statement() as connection:
            upkeep.unpublish(connection, [parsed])
    except DatabaseUnavailable as error:
        log.warning("message not sent again yet", extra={"error": str(error)})
