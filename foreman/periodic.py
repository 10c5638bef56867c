"""Periodic tasks: what a process does again and again, each on a thread of its own.

No task waits for another: one that hangs holds up nobody else. A task that fails is logged and
tried again. Under gevent a thread is a greenlet.
"""

import logging
import threading
import time
from collections.abc import Callable

from foreman.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

# A task that failed is not tried again sooner, however short its period is.
RETRY_AFTER_S = 1.0

Period = float | Callable[[], float]


class PeriodicTasks:
    """The periodic tasks of one process; `stopping` is set when they are to end."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, every_s: Period, task: Callable[[], object]) -> None:
        """Run `task` now and then every `every_s` seconds, on a thread of its own."""
        thread = threading.Thread(
            target=self.run, name=name, args=(name, every_s, task), daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def run(self, name: str, every_s: Period, task: Callable[[], object]) -> None:
        """The same on the caller's thread; returns once the tasks are stopped."""
        while not self.stopping.is_set():
            has_succeeded = succeeds(name, task)
            pause_s = every_s() if callable(every_s) else every_s
            self.stopping.wait(pause_s if has_succeeded else max(pause_s, RETRY_AFTER_S))

    def stop(self, limit_s: float) -> bool:
        """End all tasks; False when one of them still runs after `limit_s` seconds."""
        self.stopping.set()
        give_up_at = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            log.warning("periodic tasks did not stop in time", extra={"tasks": late})
        return not late


def succeeds(name: str, task: Callable[[], object]) -> bool:
    """Run a task once; a failure is logged, and whoever calls this tries again later."""
    try:
        task()
    except DatabaseUnavailable as error:
        log.warning("periodic task failed", extra={"task": name, "error": str(error)})
        return False
    except Exception:  # the outermost loop of its thread: the next turn may do better
        log.exception("periodic task failed", extra={"task": name})
        return False
    return True
