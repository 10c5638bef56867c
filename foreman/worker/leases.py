"""Carries out `Acquire` and `Release`: a free target is taken, or given back."""

import logging
import time

from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.store import residents, targets
from foreman.worker.effects import Acquire, Release
from foreman.worker.events import Leased, NotLeased

log = logging.getLogger(__name__)


class Leases:
    """Called by one thread."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._runtime = runtime
        self._specs = {spec.name: spec for spec in runtime.settings.targets}

    def acquire(self, effect: Acquire) -> Leased | NotLeased:
        """Take a free target, with what its rows say of it. It always reports."""
        try:
            return self._acquire()
        except DatabaseUnavailable as error:
            log.warning("no target leased", extra={"error": str(error)})
        except Exception:  # a defect: the next time may do better
            log.exception("lease failed")
        return NotLeased()

    def _acquire(self) -> Leased | NotLeased:
        settings, began_at = self._runtime.settings, time.monotonic()
        with self._runtime.database.transaction() as connection:
            lease = targets.acquire_lease(
                connection,
                list(self._specs),
                worker=self._runtime.worker,
                lease_s=settings.lease_s,
            )
            if lease is None:
                return NotLeased()
            loaded = residents.read_residents(connection, lease.target)
            room = residents.read_room(connection, self._specs[lease.target])
        log.info("target leased", extra={"target": lease.target})
        return Leased(lease, began_at, loaded, room)

    def release(self, effect: Release) -> None:
        """Give the target back; when the database does not answer, its lease runs out."""
        try:
            with self._runtime.database.statement() as connection:
                targets.release_lease(connection, effect.lease)
        except DatabaseUnavailable as error:
            log.warning("lease not released", extra={"error": str(error)})
