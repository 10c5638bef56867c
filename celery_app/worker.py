"""What one worker process holds, and the thread that beats for it."""

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass

from celery_app.slots import Slots
from foreman.config import Settings
from foreman.errors import DatabaseUnavailable, ShuttingDown
from foreman.ids import new_id
from foreman.runtime import WorkerRuntime
from foreman.services.keep import Keeper
from foreman.services.run import Runner

log = logging.getLogger(__name__)


@dataclass
class Visit:
    """What the target serves: a model queue, and how many of its jobs so far."""

    queue: str | None = None
    jobs_served: int = 0


class Worker:
    """A worker process: its runtime, its running jobs, its lease, its slots."""

    def __init__(self, settings: Settings, hostname: str) -> None:
        # Two workers of one name, or one started again, must not take each other's lease for own.
        name = f"{hostname}/{new_id().hex[-8:]}"
        self.runtime = WorkerRuntime(settings, worker=name)
        self.runner = Runner(self.runtime)
        self.keeper = Keeper(self.runtime, self.runner)
        self.slots = Slots()
        # Here and not in the puller: a lost connection to the broker changes nothing on the GPU.
        self.visit = Visit()
        self.is_stopping = threading.Event()
        self._has_ended = threading.Event()
        for duty in (self._beat, self._refresh_lists):
            threading.Thread(target=duty, name=duty.__name__, daemon=True).start()

    def stop(self) -> None:
        """Take no more jobs; those that run have `shutdown_s` to end, then they are given back."""
        if not self.is_stopping.is_set():
            self.is_stopping.set()
            threading.Thread(target=self._stop_late_runs, name="stop", daemon=True).start()

    def close(self) -> None:
        """The last thing: no job runs any more, the target is given back."""
        self.stop()
        self._has_ended.set()
        with suppress(DatabaseUnavailable):
            self.keeper.release()
        self.runtime.close()

    def _stop_late_runs(self) -> None:
        if not self._has_ended.wait(self.runtime.settings.shutdown_s):
            self.runner.stop_all(ShuttingDown())

    def _beat(self) -> None:
        while not self._has_ended.wait(self.keeper.beat_every_s):
            try:
                self.keeper.beat()
            except Exception:  # the outermost loop: a lease must not be lost to a defect
                log.exception("heartbeat failed")

    def _refresh_lists(self) -> None:
        # Not in the heartbeat: a target that hangs may not cost the lease.
        self.runtime.catalog.refresh()
        while not self._has_ended.wait(self.runtime.catalog.refresh_every_s):
            self.runtime.catalog.refresh()
