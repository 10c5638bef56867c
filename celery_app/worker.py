"""What one worker process holds, and the duties that it has beside its jobs."""

import threading
from contextlib import suppress

from foreman.config import Settings
from foreman.core.lease import Lease
from foreman.core.queues import queue_model
from foreman.core.states import Phase
from foreman.core.warm import Serving
from foreman.errors import DatabaseUnavailable, ForemanError, ShuttingDown
from foreman.ids import new_id
from foreman.periodic import PeriodicTasks
from foreman.runtime import WorkerRuntime
from foreman.services.health import Health
from foreman.services.keep import Keeper
from foreman.services.lists import keep_lists
from foreman.services.run import Runner
from foreman.services.running import Run, check_time
from foreman.services.slots import Slots
from foreman.services.visit import Visit
from foreman.services.warm import LOOK_EVERY_S, Warmth
from foreman.store import swaps, upkeep

TEND_EVERY_S = 1.0
CHECK_EVERY_S = 0.25
# A load or a hanging target may hold a periodic task for longer; the process ends all the same.
STOP_LIMIT_S = 0.5


class Worker:
    """A worker process: its runtime, its running jobs, its lease, its slots."""

    def __init__(self, settings: Settings, hostname: str) -> None:
        # Two workers of one name, or one started again, must not take each other's lease for own.
        name = f"{hostname}/{new_id().hex[-8:]}"
        self.runtime = WorkerRuntime(settings, worker=name)
        # Here and not in the puller: a lost connection to the broker changes nothing on the GPU.
        self.visit = Visit(self.runtime, keeps=lambda: self.warmth.kept)
        self.runner = Runner(self.runtime, self)
        self.health = Health(self.runtime, on_sick=self.runner.stop_silent)
        self.keeper = Keeper(self.runtime, self.runner)
        self.slots = Slots()
        self.is_stopping = threading.Event()
        self.warmth = Warmth(self.runtime, serving=self._serving, may_load=self._may_load)
        # What one of them waits for may not hold up another: a target that hangs may not cost the
        # lease, a load may take minutes, and a silent database may not keep a worker from seeing
        # that its lease has run out.
        self._tasks = PeriodicTasks()
        self._tasks.start("beat", self.keeper.beat_every_s, self.keeper.beat)
        self._tasks.start("runs", lambda: self.keeper.renew_every_s, self.keeper.renew_runs)
        self._tasks.start("bounds", CHECK_EVERY_S, self._check_bounds)
        self._tasks.start("health", TEND_EVERY_S, self._tend)
        self._tasks.start("warmth", LOOK_EVERY_S, self._keep_warm)
        keep_lists(self._tasks, self.runtime.catalog)

    def lease(self) -> Lease | None:
        """The lease of a target, taken now if there is one to take."""
        lease = self.keeper.lease
        if lease is None and (lease := self.keeper.acquire()) is not None:
            try:
                with self.runtime.database.statement() as connection:
                    resident = swaps.read_resident(connection, lease.target)
            except DatabaseUnavailable:
                self.keeper.forget()  # nobody knows what it has loaded: take it anew
                raise
            self.visit.resume(lease, resident)
            self.health.begin()
        return lease

    def may_serve(self) -> bool:
        """Whether the leased target answers and does real work."""
        lease = self.keeper.lease
        is_there = lease is not None and self.runtime.catalog.is_reachable(lease.target)
        return is_there and self.health.is_well

    # What a run asks and tells: see services.run.Residence

    @property
    def phase(self) -> Phase:
        return self.visit.phase

    def await_loaded(self, run: Run) -> None:
        self.visit.await_loaded(run)

    def has_more(self, queue: str) -> bool:
        try:
            with self.runtime.database.statement() as connection:
                return upkeep.has_waiting(connection, queue)
        except DatabaseUnavailable:
            return False

    def note_unclaimed(self) -> None:
        self.visit.note_unclaimed()

    def note_end(self, run: Run, error: ForemanError | None) -> None:
        self.health.note(run, error)
        self.visit.note_end(run, error)

    def stop(self) -> None:
        """Take no more jobs; those that run have `shutdown_s` to end, then they are given back."""
        if not self.is_stopping.is_set():
            self.is_stopping.set()
            threading.Thread(target=self._stop_late_runs, name="stop", daemon=True).start()

    def close(self) -> None:
        """The last thing: no job runs any more, the target is given back."""
        self.stop()
        self._tasks.stop(STOP_LIMIT_S)
        with suppress(DatabaseUnavailable):
            self.keeper.release()
        self.runtime.close()

    def _stop_late_runs(self) -> None:
        if not self._tasks.stopping.wait(self.runtime.settings.shutdown_s):
            self.runner.stop_all(ShuttingDown())

    def _check_bounds(self) -> None:
        self.keeper.check()
        for run in self.runner.running().values():
            check_time(run, self.runtime.settings.job_timeout_s)

    def _tend(self) -> None:
        lease = self.keeper.lease
        if lease is not None:
            self.health.tend(lease)
            self.visit.ledger.record()

    def _keep_warm(self) -> None:
        lease = self.keeper.lease
        self.warmth.turn(lease.target if lease else None)

    def _serving(self) -> Serving:
        queue = self.visit.queue
        return Serving(queue_model(queue) if queue else None, is_running=self.slots.running > 0)

    def _may_load(self) -> bool:
        return not (self.is_stopping.is_set() or self.visit.is_loading)
