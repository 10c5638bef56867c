"""The reaper: what dead workers and dead web processes held is ended or queued again."""

import logging
import time

from foreman.core.frames import Failure, FrameKind, encode_failure
from foreman.core.states import JobState
from foreman.errors import ChannelLost, WaitedTooLong, WorkerLost
from foreman.runtime import RelayRuntime
from foreman.store import targets, upkeep

log = logging.getLogger(__name__)

# Rows of web processes are kept for a while, for who reads the history.
FORGET_WEBS_AFTER_S = 3600.0
# What everybody has, once the reaper itself has been without the database, to be heard of again.
PATIENCE_LEASES = 2
# What a run has in addition while its worker is alive: somebody may only have locked its row.
GRACE_LEASES = 2

_FAILURES = {
    JobState.FAILED: Failure(WorkerLost.status, WorkerLost.code, str(WorkerLost())),
    JobState.EXPIRED: Failure(WaitedTooLong.status, WaitedTooLong.code, str(WaitedTooLong())),
}


class Reaper:
    """Its turns. It believes no silence that may be the database's own.

    While the database is away nobody can be heard of: neither web processes nor workers.
    """

    def __init__(self, runtime: RelayRuntime) -> None:
        self._runtime = runtime
        self._done_at = time.monotonic()
        self._believes_at = self._done_at

    def reap(self) -> list[upkeep.Reaped]:
        """Move what is stalled, expired or abandoned, and report it to the clients that wait."""
        began_at, lease_s = time.monotonic(), self._runtime.settings.lease_s
        if began_at - self._done_at > lease_s / 2:
            self._believes_at = began_at + PATIENCE_LEASES * lease_s
        reaped = self._move(believes=began_at >= self._believes_at)
        self._done_at = time.monotonic()
        for job in reaped:
            facts = {"job_id": str(job.job_id), "state": job.state, "fence": job.fence}
            log.warning("job reaped", extra=facts)
            _tell(self._runtime, job)
        return reaped

    def _move(self, *, believes: bool) -> list[upkeep.Reaped]:
        settings = self._runtime.settings
        with self._runtime.database.transaction() as connection:
            if not believes:
                return upkeep.reap_expired(connection)
            reaped = upkeep.reap_abandoned(connection, web_silence_s=settings.web_silence_s)
            reaped += upkeep.reap_expired(connection)
            reaped += upkeep.reap_stalled(connection, grace_s=GRACE_LEASES * settings.lease_s)
            targets.forget_webs(connection, silence_s=FORGET_WEBS_AFTER_S)
            return reaped


def _tell(runtime: RelayRuntime, job: upkeep.Reaped) -> None:
    """Send the end of a stream in the lost worker's place, under a newer fence."""
    failure = _FAILURES.get(job.state)
    if failure is None or job.web_id is None:
        return
    try:
        outgoing = runtime.senders.open(job.web_id, job.job_id, job.fence)
        outgoing.send(FrameKind.ERROR, encode_failure(failure))
        outgoing.close()
    except ChannelLost as error:
        log.warning("end not told", extra={"job_id": str(job.job_id), "error": str(error)})
