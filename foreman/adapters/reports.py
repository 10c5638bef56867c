"""The way back of the channel: what clients have taken, reported to the workers that wait for it.

A remote-control command to all workers, as a cancellation is; the one that runs the job heeds it.
Most streams fit into their window and cause none. A report may be lost: the worker asks again.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from kombu import Connection

from foreman.adapters.broker import REPORT, broadcast

log = logging.getLogger(__name__)

# Nobody reads from the connection, and a dead one can look alive: none is older than this.
CONNECTION_AGE_S = 30.0
PAUSE_S = 0.5
CLOSE_LIMIT_S = 2.0


class Reporter:
    """Sends the newest total of each job; what gathers while one message is sent goes as one."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._gathered: dict[UUID, tuple[int, int]] = {}
        self._has_some = threading.Event()
        self._is_closing = False
        self._connection: Connection | None = None
        self._connected_at = 0.0
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._thread.start()

    def put(self, job_id: UUID, fence: int, taken_bytes: int) -> None:
        """Hand over what the client has taken of a run by now; never waits."""
        self._gathered[job_id] = (fence, taken_bytes)
        self._has_some.set()

    def close(self) -> None:
        self._is_closing = True
        self._has_some.set()
        self._thread.join(CLOSE_LIMIT_S)

    def _run(self) -> None:
        while self._has_some.wait() and not self._is_closing:
            self._has_some.clear()
            gathered, self._gathered = self._gathered, {}
            try:
                self._send(gathered)
            except Exception as exc:  # whatever a broker may raise: the workers ask again
                log.warning("reports not sent", extra={"error": repr(exc)})
                self._drop_connection()
                time.sleep(PAUSE_S)
        self._drop_connection()

    def _send(self, gathered: dict[UUID, tuple[int, int]]) -> None:
        if time.monotonic() - self._connected_at > CONNECTION_AGE_S:
            self._drop_connection()
        if self._connection is None:
            self._connection, self._connected_at = self._connect(), time.monotonic()
        taken = [[str(job_id), fence, total] for job_id, (fence, total) in gathered.items()]
        broadcast(self._connection, REPORT, taken=taken)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be what is broken
                connection.collect()
