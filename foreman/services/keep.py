"""A worker's heartbeat: keep the leases of its target and runs, and learn what it must stop."""

import logging
import time
from collections.abc import Mapping
from uuid import UUID

from foreman.core.lease import Lease
from foreman.errors import DatabaseUnavailable, JobCancelled, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.services.run import Runner
from foreman.services.running import Run
from foreman.store import renewals, targets

log = logging.getLogger(__name__)

# Two renewals may be lost before a lease is.
RENEWALS_PER_LEASE = 3
# Of a lease: the one who has it lets it go before another can take it.
GIVE_UP_AT = 0.95
# A skipped run's lease may have run out when its row is free again: be there before the reaper.
SKIPPED_AGAIN_S = 0.25


class Keeper:
    """Holds one target for this worker.

    `beat` and `renew_runs` are called RENEWALS_PER_LEASE times a lease, and `check` more often,
    each on a thread of its own.
    """

    def __init__(self, runtime: WorkerRuntime, runner: Runner) -> None:
        self._runtime = runtime
        self._runner = runner
        self._renewed_at = 0.0
        self._has_skipped = False  # a run whose row was locked
        self.lease: Lease | None = None

    @property
    def beat_every_s(self) -> float:
        return self._runtime.settings.lease_s / RENEWALS_PER_LEASE

    @property
    def renew_every_s(self) -> float:
        """A run that was skipped is renewed as soon as its row is free."""
        return SKIPPED_AGAIN_S if self._has_skipped else self.beat_every_s

    def declare(self) -> None:
        """Make the targets of the settings known to all processes."""
        with self._runtime.database.transaction() as connection:
            targets.declare_targets(connection, self._runtime.settings.targets)

    def acquire(self) -> Lease | None:
        """Take a free target, or none: then this worker stands by."""
        began_at = time.monotonic()
        with self._runtime.database.statement() as connection:
            lease = targets.acquire_lease(
                connection,
                list(self._runtime.targets),
                worker=self._runtime.worker,
                lease_s=self._runtime.settings.lease_s,
            )
        if lease is not None:
            self._renewed_at, self.lease = began_at, lease
            log.info("target leased", extra={"target": lease.target})
        return lease

    def release(self) -> None:
        """Give the target back, for another worker to take at once."""
        lease, self.lease = self.lease, None
        if lease is not None:
            with self._runtime.database.statement() as connection:
                targets.release_lease(connection, lease)

    def forget(self) -> None:
        """Let the lease run out."""
        self.lease = None

    def beat(self) -> None:
        """Renew the target's lease: alone, so that no trouble with a job can delay it."""
        lease = self.lease
        if lease is None:
            return
        began_at = time.monotonic()
        try:
            with self._runtime.database.statement() as connection:
                is_held = targets.renew_lease(
                    connection, lease, lease_s=self._runtime.settings.lease_s
                )
                if self.lease is not lease and is_held:
                    # `check` gave it up meanwhile: nobody would have it until it runs out again.
                    targets.release_lease(connection, lease)
        except DatabaseUnavailable as error:
            log.warning("lease not renewed", extra={"error": str(error)})
            return
        if self.lease is lease:
            self._renewed_at = began_at
            if not is_held:
                self._lose()

    def renew_runs(self) -> None:
        """Renew the leases of the runs; stop what is cancelled, unheard, or not ours any more."""
        running, settings = self._runner.running(), self._runtime.settings
        self._has_skipped = False
        if not running:
            return
        try:
            with self._runtime.database.statement() as connection:
                renewed = renewals.renew_runs(
                    connection,
                    {job_id: run.claim.fence for job_id, run in running.items()},
                    lease_s=settings.lease_s,
                    web_silence_s=settings.web_silence_s,
                )
                if tokens := _tokens(running):
                    renewals.note_progress(connection, tokens)
        except DatabaseUnavailable as error:
            log.warning("runs not renewed", extra={"error": str(error)})
            return
        still_running = self._runner.running()
        for job_id, run in running.items():
            if still_running.get(job_id) is run:  # else its row has ended with it
                _heed(run, renewed.get(job_id))
        self._has_skipped = not all(each.is_renewed for each in renewed.values())

    def check(self) -> None:
        """Lose what was not renewed in time. Asks nobody, so that nothing can hold it up."""
        limit_s = GIVE_UP_AT * self._runtime.settings.lease_s
        if self.lease and time.monotonic() - self._renewed_at > limit_s:
            self._lose()

    def _lose(self) -> None:
        """The target may be another worker's by now: nothing of ours may run on it."""
        log.error("lease lost", extra={"target": self.lease.target if self.lease else None})
        self.lease = None
        self._runner.stop_all(WorkerLost())


def _tokens(running: Mapping[UUID, Run]) -> dict[tuple[UUID, int], int]:
    """How many tokens the runs have that are followed by their rows alone."""
    return {
        (job_id, run.claim.fence): run.sink.tokens
        for job_id, run in running.items()
        if run.sink.tokens is not None
    }


def _heed(run: Run, renewal: renewals.Renewal | None) -> None:
    if renewal is None:
        run.stop(WorkerLost())
    elif renewal.is_cancelled or not renewal.has_listener:
        run.stop(JobCancelled())
