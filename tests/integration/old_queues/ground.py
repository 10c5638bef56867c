"""What the tests of old queues stand on: jobs that age, their messages, the broker's queues."""

from typing import Any
from uuid import UUID

from kombu import Connection
from kombu.exceptions import ChannelError

from foreman.adapters.broker import model_queue, queue_length, send_wakeup
from foreman.core.queues import JobClass, Wakeup, class_queue
from foreman.runtime import RelayRuntime
from foreman.services.old_queues import remove_old_queues
from foreman.store import retention
from foreman.store.jobs import NewJob
from tests.integration.store.ground import Store

DAYS = 30
QUEUE = "model.m%3Alatest~0123456789abcdef"
BATCH_QUEUE = class_queue(QUEUE, JobClass.BATCH)


def has_queue(connection: Connection, name: str) -> bool:
    """Whether the broker has a queue of this name."""
    missing: tuple[type[BaseException], ...] = (ChannelError, *connection.channel_errors)
    channel: Any = connection.channel()
    with channel:
        try:
            channel.queue_declare(name, passive=True)
        except missing:
            return False
    return True


class Ground:
    """The rows, and one connection to the broker that keeps what it has declared."""

    def __init__(self, runtime: RelayRuntime, connection: Connection) -> None:
        self.runtime = runtime
        self.store = Store(runtime.database)
        self.connection = connection
        self._producer = runtime.celery.amqp.Producer(
            connection.default_channel, auto_declare=False
        )

    def queued(self, **changes: Any) -> NewJob:
        return self.store.queued(**({"queue": QUEUE} | changes))

    def send(self, job: NewJob) -> None:
        """Send its message, as a publisher does that has sent others before."""
        queue = class_queue(job.queue, job.job_class, job.pinned_target)
        send_wakeup(self.runtime.celery, self._producer, Wakeup(job.id, queue, job.model, None))

    def take(self, name: str = QUEUE) -> UUID | None:
        """Take a message for good; the job that it is of, None where there is none."""
        if not self.has(name):
            return None
        with self.connection.channel() as channel:
            message = model_queue(name)(channel).get(accept=["json"])
            if message is None:
                return None
            message.ack()
            return UUID(message.headers["id"])

    def length(self, name: str = QUEUE) -> int:
        return queue_length(self.connection, name)

    def has(self, name: str = QUEUE) -> bool:
        """Whether the broker has a queue of this name."""
        return has_queue(self.connection, name)

    def declare(self, name: str) -> None:
        with self.connection.channel() as channel:
            model_queue(name)(channel).declare()

    def end(self, job: NewJob, *, days_ago: float = DAYS + 1) -> None:
        """Let the job have ended so long ago."""
        ago = f"now() - interval '{days_ago} days'"
        self.store.set(
            job.id, f"state = 'succeeded', status = 200, created_at = {ago}, ended_at = {ago}"
        )

    def remove_jobs(self) -> int:
        return self.store.do(retention.remove_jobs, older_than_days=DAYS)

    def clean(self) -> int:
        return remove_old_queues(self.runtime, older_than_days=DAYS)

    def notes(self) -> int:
        return int(self.store.sql("SELECT count(*) FROM old_queues")[0]["count"])
