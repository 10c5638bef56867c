"""The leases of a worker: its right to its target, and its runs' rights to their jobs.

Both are renewed three times a lease, each on a thread of its own: no trouble with a job can delay
the target's. That a lease has run out is seen by the worker's thread, which waits for nobody.
"""

import logging
import time
from collections.abc import Callable, Mapping
from uuid import UUID

from foreman.core.lease import Lease
from foreman.errors import DatabaseUnavailable, JobCancelled, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.store import renewals, targets
from foreman.worker.effects import Acquire, Release
from foreman.worker.events import Event, Leased, LeaseLost, Renewed
from foreman.worker.live import LiveRun, LiveRuns

log = logging.getLogger(__name__)

# Two renewals may be lost before a lease is.
RENEWALS_PER_LEASE = 3
# After a renewal that the database did not take.
FAILED_AGAIN_S = 1.0
# So long after a time without the database, a web process may not have been heard of again.
PATIENCE_LEASES = 2
# A skipped run's lease may have run out when its row is free again: be there before the reaper.
SKIPPED_AGAIN_S = 0.25


class TargetLease:
    """Which lease is held, and renews it. `renew` is periodic; the others are one thread's."""

    def __init__(
        self,
        runtime: WorkerRuntime,
        tell: Callable[[Event], None],
        acquire: Callable[[Acquire], Event | None],
        release: Callable[[Release], object],
    ) -> None:
        """`acquire` and `release` ask the database, and report whatever it says."""
        self._runtime = runtime
        self._tell = tell
        self._acquire = acquire
        self._release = release
        self._lease: Lease | None = None
        self._has_failed = False

    def every_s(self) -> float:
        """How long until `renew` is to be called."""
        usual_s = self._runtime.settings.lease_s / RENEWALS_PER_LEASE
        return min(FAILED_AGAIN_S, usual_s) if self._has_failed else usual_s

    def acquire(self, effect: Acquire) -> Event | None:
        event = self._acquire(effect)
        if isinstance(event, Leased):
            self._lease = event.lease
        return event

    def release(self, effect: Release) -> None:
        if self._lease == effect.lease:
            self._lease = None
        self._release(effect)

    def release_held(self) -> None:
        """Give back what is held, at the end of the process."""
        if self._lease is not None:
            self.release(Release(self._lease))

    def renew(self) -> None:
        """Renew the lease that is held."""
        lease = self._lease
        if lease is None:
            return
        began_at = time.monotonic()
        try:
            with self._runtime.leases.statement() as connection:
                is_held = targets.renew_lease(
                    connection, lease, lease_s=self._runtime.settings.lease_s
                )
        except DatabaseUnavailable as error:
            self._has_failed = True
            log.warning("lease not renewed", extra={"error": str(error)})
            return
        self._has_failed = False
        if is_held:
            self._tell(Renewed(lease, began_at))
        elif self._lease is lease:
            self._lease = None
            self._tell(LeaseLost(lease))


class RunLeases:
    """`renew` is periodic: it stops what is cancelled, unheard, or not this worker's any more."""

    def __init__(self, runtime: WorkerRuntime, live: LiveRuns) -> None:
        self._runtime = runtime
        self._live = live
        self._has_skipped = False  # a run whose row was locked
        self._has_failed = False
        self._believes_at = 0.0  # that a web process which is silent is gone

    def every_s(self) -> float:
        """How long until `renew` is to be called: a skipped run as soon as its row is free."""
        if self._has_skipped:
            return SKIPPED_AGAIN_S
        usual_s = self._runtime.settings.lease_s / RENEWALS_PER_LEASE
        return min(FAILED_AGAIN_S, usual_s) if self._has_failed else usual_s

    def renew(self) -> None:
        """Renew the leases of the runs that are claimed, and say how far they are."""
        running, settings = self._live.claimed(), self._runtime.settings
        self._has_skipped = False
        if not running:
            # Nobody asked the database meanwhile: it may have been away for everybody.
            self._believes_at = time.monotonic() + PATIENCE_LEASES * settings.lease_s
            return
        try:
            with self._runtime.leases.statement() as connection:
                renewed = renewals.renew_runs(
                    connection,
                    {job_id: run.claim.fence for job_id, run in running.items()},
                    lease_s=settings.lease_s,
                    web_silence_s=settings.web_silence_s,
                )
                if tokens := _tokens(running):
                    renewals.note_progress(connection, tokens)
        except DatabaseUnavailable as error:
            self._has_failed = True
            log.warning("runs not renewed", extra={"error": str(error)})
            return
        if self._has_failed:
            self._has_failed = False
            self._believes_at = time.monotonic() + PATIENCE_LEASES * settings.lease_s
        believes = time.monotonic() >= self._believes_at
        still_running = self._live.claimed()
        for job_id, run in running.items():
            if still_running.get(job_id) is run:  # else its row has ended with it
                _heed(run, renewed.get(job_id), believes_silence=believes)
        self._has_skipped = not all(each.is_renewed for each in renewed.values())


def _tokens(running: Mapping[UUID, LiveRun]) -> dict[tuple[UUID, int], int]:
    """How many tokens the runs have that are followed by their rows alone."""
    return {
        (job_id, run.claim.fence): run.sink.tokens
        for job_id, run in running.items()
        if run.sink.tokens is not None
    }


def _heed(run: LiveRun, renewal: renewals.Renewal | None, *, believes_silence: bool) -> None:
    if renewal is None:
        run.stop(WorkerLost())
    elif renewal.is_cancelled or (believes_silence and not renewal.has_listener):
        run.stop(JobCancelled())
