"""The web process's one publisher: requests hand it ids and never wait for the broker.

It has a connection and a thread (a greenlet, in the web process) of its own. What it cannot send in
time it reports, and the relay sends it. A publisher that hangs in a frozen broker is abandoned with
its connection, and a new one goes on.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from celery import Celery
from kombu import Connection

from foreman.adapters.broker import CANCEL, PUBLISH_LIMIT_S, broadcast, send_wakeup
from foreman.core.queues import Wakeup

log = logging.getLogger(__name__)

# Ids that may wait here; what comes on top is reported as unsent at once.
BACKLOG = 10_000
# After a failure the broker is left alone for this long; meanwhile ids go to the relay.
PAUSE_S = 1.0
STUCK_S = 3 * PUBLISH_LIMIT_S


class Publisher:
    """Sends wake-ups and cancellations in the order in which they were handed over."""

    def __init__(
        self,
        app: Celery,
        connect: Callable[[], Connection],
        on_unsent: Callable[[UUID], None],
    ) -> None:
        self._app = app
        self._connect = connect
        self._on_unsent = on_unsent
        self._waiting: queue.Queue[Wakeup | UUID | None] = queue.Queue(BACKLOG)
        self._sending_since: float | None = None
        self._paused_until = 0.0
        self._thread = self._start()

    def send(self, wakeup: Wakeup) -> None:
        """Hand over the message of a job that is committed."""
        if not self._put(wakeup):
            self._on_unsent(wakeup.job_id)

    def cancel(self, job_id: UUID) -> None:
        """Tell the workers, if the broker lets us; the job's row tells them in any case."""
        self._put(job_id)

    def close(self) -> None:
        """Send what waits, within a limit, and stop."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(PUBLISH_LIMIT_S)

    def _put(self, item: Wakeup | UUID) -> bool:
        self._replace_if_stuck()
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            return False
        return True

    def _replace_if_stuck(self) -> None:
        since = self._sending_since
        if since is not None and time.monotonic() - since > STUCK_S:
            log.error("publisher is stuck in the broker and is replaced")
            self._sending_since = None
            self._thread = self._start()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        connection = self._connect()
        while (item := self._waiting.get()) is not None:
            if not self._deliver(connection, item):
                connection.collect()
                connection = self._connect()
            if threading.current_thread() is not self._thread:
                break  # replaced while it hung: the other one goes on
        with suppress(Exception):
            connection.release()

    def _deliver(self, connection: Connection, item: Wakeup | UUID) -> bool:
        """Send one item; False when the connection is no good any more."""
        if time.monotonic() < self._paused_until:
            self._give_up(item)
            return True
        self._sending_since = time.monotonic()
        try:
            if isinstance(item, UUID):
                broadcast(connection, CANCEL, job_id=str(item))
            else:
                send_wakeup(self._app, self._producer(connection), item)
        except Exception as exc:  # whatever a broker may raise, the job is safe in Postgres
            log.warning("message not sent", extra={"error": repr(exc)})
            self._paused_until = time.monotonic() + PAUSE_S
            self._give_up(item)
            return False
        finally:
            self._sending_since = None
        return True

    def _producer(self, connection: Connection):  # type: ignore[no-untyped-def]  # kombu's Producer, as Celery subclasses it
        return self._app.amqp.Producer(connection.default_channel, auto_declare=False)

    def _give_up(self, item: Wakeup | UUID) -> None:
        if isinstance(item, Wakeup):
            self._on_unsent(item.job_id)
