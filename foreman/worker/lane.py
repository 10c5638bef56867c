"""Lanes: each is one thread that runs what it is given, one after the other.

What is slow or may hang has a lane of its own and holds up nobody but those in it. The thread is a
daemon: a load that hangs does not hold up the end of the process.
"""

import logging
import queue
import threading
from collections.abc import Callable

from foreman.core.lease import Lease

log = logging.getLogger(__name__)

Work = Callable[[], object]


class Lane:
    """`put` from any thread; what is put runs in this order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, work: Work) -> None:
        """Run this after all that was put before; returns at once."""
        self._waiting.put(work)

    def end(self) -> None:
        """Run what was put before, and end; returns at once."""
        self._waiting.put(None)

    def stop(self, limit_s: float) -> bool:
        """The same, and wait for it; False when that takes longer than `limit_s`."""
        self.end()
        if self._thread.ident is None:  # it was never started
            return True
        self._thread.join(limit_s)
        if self._thread.is_alive():
            log.warning("lane did not stop in time", extra={"lane": self._name})
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                work()
            except Exception:  # the outermost loop of its thread: the next one may do better
                log.exception("work failed", extra={"lane": self._name})


class LeaseLane:
    """A lane of each lease, used by one thread: what hangs at the target of one that was lost holds
    up nothing of the next one. It has the target's own limit, and its thread ends with it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lease: Lease | None = None
        self._lane = Lane(name)

    def start(self) -> None:
        self._lane.start()

    def put(self, lease: Lease, work: Work) -> None:
        """Run this after all that was put before for this lease; returns at once."""
        if lease != self._lease:
            self._lane.end()
            self._lease, self._lane = lease, Lane(self._name)
            self._lane.start()
        self._lane.put(work)

    def stop(self, limit_s: float) -> bool:
        """Run what was put for the newest lease, and end; False when that takes too long."""
        return self._lane.stop(limit_s)
