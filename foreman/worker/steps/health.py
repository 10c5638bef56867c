"""Whether the target does real work. Its lists prove nothing: a wedged server goes on answering
them.

A target that lets requests run out of time before their first byte, or hangs up on several in a
row, is sick: its jobs are queued again, unseen, and it gets no others until a one-token generation
has come back.
"""

from foreman.errors import (
    ForemanError,
    JobTooLong,
    LoadFailed,
    TargetError,
    TargetGivenUp,
    TargetRedirects,
    TargetTimeout,
)
from foreman.worker.effects import ERROR, INFO, WARNING, Log, Probe, TellHealth
from foreman.worker.events import Ended, Probed
from foreman.worker.state import Job
from foreman.worker.steps.turn import Turn

# Jobs in a row whose answers were cut before their first byte; one job in all its runs may be the
# cause of it itself.
CUT_JOBS = 3
PROBE_FIRST_S, PROBE_LIMIT_S = 2.0, 30.0
# What says nothing of the target's health, or is said by it.
_NOT_OF_TARGET = (LoadFailed, JobTooLong, TargetGivenUp, TargetRedirects)


def note(turn: Turn, job: Job, event: Ended) -> None:
    """Learn from how a run ended."""
    error, health = event.error, turn.state.health
    if error is None or event.has_bytes:
        turn.change_health(cut_jobs=frozenset())
    elif isinstance(error, TargetTimeout) and not isinstance(error, JobTooLong):
        _fall_sick(turn, error)
    elif isinstance(error, TargetError) and not isinstance(error, _NOT_OF_TARGET):
        turn.change_health(cut_jobs=health.cut_jobs | {job.job_id})
        if len(turn.state.health.cut_jobs) >= CUT_JOBS:
            _fall_sick(turn, error)


def _fall_sick(turn: Turn, error: ForemanError) -> None:
    if turn.state.health.sick_of is not None:
        return
    turn.do(Log(ERROR, "target is sick", {"error": str(error)}))
    turn.change_health(
        sick_of=str(error), probe_pause_s=PROBE_FIRST_S, probe_at=turn.now + PROBE_FIRST_S
    )
    for job in turn.state.jobs.values():
        turn.stop(job, TargetGivenUp(), only_silent=True)


def on_probed(turn: Turn, event: Probed) -> None:
    """A token came back, or the next probe is put off for twice as long."""
    if event.lease != turn.state.lease:
        return  # it is of the lease before
    if event.why is None:
        turn.do(Log(INFO, "target is well again", {}))
        turn.change_health(is_probing=False, sick_of=None, cut_jobs=frozenset())
        return
    pause_s = min(2 * turn.state.health.probe_pause_s, PROBE_LIMIT_S)
    turn.do(Log(WARNING, "target is still sick", {"error": event.why}))
    turn.change_health(is_probing=False, probe_pause_s=pause_s, probe_at=turn.now + pause_s)


def tend(turn: Turn) -> None:
    """Say how the target is, and probe it when that is due."""
    lease, health = turn.state.lease, turn.state.health
    if lease is None:
        return
    reason = health.sick_of or (None if health.is_reachable else "it does not answer")
    if reason != health.told:
        turn.change_health(told=reason)
        turn.do(TellHealth(lease, reason))
    if health.sick_of is None or not health.is_reachable or health.is_probing:
        return
    if turn.now >= health.probe_at:
        turn.change_health(is_probing=True)
        turn.do(Probe(lease, health.model))
    else:
        turn.wake_by(health.probe_at)
