"""The reaper: what dead workers and dead web processes held is ended or queued again."""

import logging

from foreman.core.frames import Failure, FrameKind, encode_failure
from foreman.core.states import JobState
from foreman.errors import ChannelLost, WaitedTooLong, WorkerLost
from foreman.runtime import RelayRuntime
from foreman.store import targets, upkeep

log = logging.getLogger(__name__)

# Rows of web processes are kept for a while, for who reads the history.
FORGET_WEBS_AFTER_S = 3600.0
# What a run has in addition while its worker is alive: somebody may only have locked its row.
GRACE_LEASES = 2

_FAILURES = {
    JobState.FAILED: Failure(WorkerLost.status, WorkerLost.code, str(WorkerLost())),
    JobState.EXPIRED: Failure(WaitedTooLong.status, WaitedTooLong.code, str(WaitedTooLong())),
}


def reap(runtime: RelayRuntime) -> list[upkeep.Reaped]:
    """Move what is stalled, expired or abandoned, and tell the clients that still wait."""
    with runtime.database.transaction() as connection:
        reaped = upkeep.reap_abandoned(connection, web_silence_s=runtime.settings.web_silence_s)
        reaped += upkeep.reap_expired(connection)
        reaped += upkeep.reap_stalled(connection, grace_s=GRACE_LEASES * runtime.settings.lease_s)
        targets.forget_webs(connection, silence_s=FORGET_WEBS_AFTER_S)
    for job in reaped:
        log.warning(
            "job reaped", extra={"job_id": str(job.job_id), "state": job.state, "fence": job.fence}
        )
        _tell(runtime, job)
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
