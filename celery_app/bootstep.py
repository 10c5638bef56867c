"""The worker as Celery sees it: a step that starts with its consumer.

A lost connection of Celery's own stops and starts the step again. The worker goes on meanwhile: it
has connections of its own, and what it hands over reaches the pool all the same.
"""

import logging
from typing import Any

from celery import bootsteps

from celery_app import process
from foreman.adapters.undecodable import UNDECODABLE
from foreman.core.queues import QUEUE_PREFIX
from foreman.worker.assembly import Worker

log = logging.getLogger(__name__)


class WorkerStep(bootsteps.StartStopStep):
    """Starts the worker's threads beside Celery's own consumer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.worker: Worker = process.start_worker(consumer.hostname)

    def start(self, consumer: Any) -> None:
        _leave_job_queues(consumer)
        # Called in the worker's thread, not by way of Celery's loop: it only hands the task to the
        # pool and its event to a buffer, and the loop would have to wake up for it.
        self.worker.use(consumer.create_task_handler())

    def stop(self, consumer: Any) -> None:
        """A stop of whatever kind, or a lost connection: then the blueprint goes on to run."""
        if consumer.blueprint.state != bootsteps.RUN:  # type: ignore[attr-defined]  # not in the stub
            self.worker.stop()


def is_job_queue(name: str) -> bool:
    """Whether the worker's own thread takes what is in a queue, or keeps it there."""
    return name.startswith(QUEUE_PREFIX) or name == UNDECODABLE


def _leave_job_queues(consumer: Any) -> None:
    """Celery's consumer would take jobs whenever it likes; -Q may have named them."""
    for queue in list(consumer.task_consumer.queues):
        if is_job_queue(queue.name):
            log.warning("queue is served by foreman itself", extra={"queue": queue.name})
            consumer.task_consumer.cancel_by_queue(queue.name)
