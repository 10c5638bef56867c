"""Wait for jobs to move: one thread a process asks the database for all of them at once.

A waiter holds no connection. It is woken when its job has moved, when its time is up, when its
client has left and when the process shuts down.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from foreman.core.states import END_STATES
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime
from foreman.store.job_rows import Standing, read_standings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
# After the database did not answer.
PAUSE_S = 1.0

Condition = Callable[[Standing], bool]


def has_ended(standing: Standing) -> bool:
    return standing.state in END_STATES


class Waiter:
    """One request that waits for one job."""

    def __init__(self, job_id: UUID, is_met: Condition) -> None:
        self.job_id = job_id
        self.is_met = is_met
        self._woken = threading.Event()

    def wake(self) -> None:
        """Let it go on, whatever its job does."""
        self._woken.set()

    def wait(self, limit_s: float) -> None:
        self._woken.wait(limit_s)


class Watcher:
    """The waiters of one process; its thread runs only while there are any."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._waiters: dict[UUID, set[Waiter]] = defaultdict(set)
        self._lock = threading.Lock()
        self._is_running = False

    def open(self, job_id: UUID, is_met: Condition) -> Waiter:
        """Begin to watch a job; give it back with `close`."""
        waiter = Waiter(job_id, is_met)
        with self._lock:
            self._waiters[job_id].add(waiter)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="watcher", daemon=True).start()
        return waiter

    def close(self, waiter: Waiter) -> None:
        with self._lock:
            waiters = self._waiters[waiter.job_id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[waiter.job_id]

    def _run(self) -> None:
        while watched := self._watched():
            pause_s = LOOK_EVERY_S
            try:
                self._look(watched)
            except DatabaseUnavailable as error:
                log.warning("jobs not watched", extra={"error": str(error)})
                pause_s = PAUSE_S
            except Exception:  # the outermost loop: the next turn may do better
                log.exception("watching failed")
                pause_s = PAUSE_S
            time.sleep(pause_s)

    def _watched(self) -> list[UUID]:
        with self._lock:
            if not self._waiters:
                self._is_running = False
            return list(self._waiters)

    def _look(self, job_ids: list[UUID]) -> None:
        with self._runtime.database.statement() as connection:
            standings = read_standings(connection, job_ids)
        with self._lock:
            waiters = [each for job_id in job_ids for each in self._waiters.get(job_id, ())]
        for waiter in waiters:
            standing = standings.get(waiter.job_id)
            # None: the job was removed, and will never move.
            if self._runtime.is_stopping or standing is None or waiter.is_met(standing):
                waiter.wake()
