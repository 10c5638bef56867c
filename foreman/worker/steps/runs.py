"""Runs: claimed, ended, stopped."""

from dataclasses import replace

from foreman.errors import JobCancelled, TargetError, WorkerLost
from foreman.worker.effects import ERROR, LoadModel, Log, StopRun
from foreman.worker.events import CancelAsked, Claimed, Ended, Unclaimed
from foreman.worker.state import LONG_AGO, Job, Load, LoadStage, Stage
from foreman.worker.steps import health, rhythm
from foreman.worker.steps.loads import give_up, models_of
from foreman.worker.steps.turn import Turn

# Celery answers for each task that it was handed. One of which nothing is heard was dropped.
HAND_LIMIT_S = 60.0
# After the database did not answer: the same message would come back at once.
RETRY_S = 1.0


def on_claimed(turn: Turn, event: Claimed) -> None:
    """A row is this worker's: its message is done, and its load may begin."""
    job = turn.state.jobs.get(event.tag)
    if job is None:  # its slot was taken for lost
        turn.do(StopRun(event.tag, WorkerLost()))
        return
    load = turn.state.load
    is_for_load = load is not None and load.tag == event.tag
    resident = turn.state.residents.get(job.queue)
    if resident is not None:
        turn.change_resident(job.queue, jobs=resident.jobs + 1)
    rhythm.arrived(turn, job.queue, turn.now - event.waited_s)
    turn.change_health(model=event.model)
    turn.settle(job)
    turn.put_job(
        replace(
            job,
            stage=Stage.LOADING if is_for_load else Stage.RUNNING,
            since=turn.now,
            is_settled=True,
            attempts_left=event.attempts_left,
        )
    )
    if job.stopped_by is not None:
        turn.do(StopRun(job.tag, job.stopped_by))
    if load is not None and is_for_load:
        if job.stopped_by is None:
            _begin_load(turn, load, event)
        else:
            give_up(turn)


def _begin_load(turn: Turn, load: Load, event: Claimed) -> None:
    state = turn.state
    assert state.lease is not None  # else there is no load
    waits_s = event.waited_s
    loading = replace(load, stage=LoadStage.LOADING, since=turn.now, model=event.model)
    turn.change(load=replace(loading, head_wait_s=waits_s))
    turn.do(
        LoadModel(
            lease=state.lease,
            queue=load.queue,
            residency=event.residency,
            victims=models_of(state, load.victims),
            may_go=models_of(state, load.may_go),
        )
    )


def on_unclaimed(turn: Turn, event: Unclaimed) -> None:
    """The task has ended without a run."""
    job, load = turn.take_job(event.tag), turn.state.load
    if job is None:
        return
    turn.settle(job, is_done=event.is_looked_at)
    if not event.is_looked_at:
        turn.change_pulls(resume_at=turn.now + RETRY_S)
    turn.change(changed_at=turn.now)
    if load is not None and load.tag == event.tag and load.stage is LoadStage.CLAIMING:
        give_up(turn)


def on_ended(turn: Turn, event: Ended) -> None:
    """The target has done its part: the slot is free."""
    job = turn.take_job(event.tag)
    if job is None:
        return
    turn.settle(job)
    health.note(turn, job, event)
    turn.change(answered_at={**turn.state.answered_at, job.queue: turn.now})
    rhythm.answered(turn, job.queue)
    resident = turn.state.residents.get(job.queue)
    if resident is not None:
        unloads = resident.unloads or event.unloads
        is_doubted = resident.is_doubted or unloads or isinstance(event.error, TargetError)
        turn.put_resident(
            replace(resident, answered_at=turn.now, unloads=unloads, is_doubted=is_doubted)
        )
        if is_doubted:
            turn.change(observe_at=LONG_AGO)
    else:
        turn.change(observe_at=LONG_AGO)  # the target may have loaded it for the request


def on_cancel(turn: Turn, event: CancelAsked) -> None:
    for job in turn.state.jobs.values():
        if job.job_id == event.job_id:
            turn.stop(job, JobCancelled())


def tend(turn: Turn) -> None:
    """Free the slots of tasks that Celery has dropped."""
    for job in turn.state.jobs.values():
        if job.stage is Stage.HANDED:
            _free_if_lost(turn, job)


def _free_if_lost(turn: Turn, job: Job) -> None:
    give_up_at = job.since + HAND_LIMIT_S
    if turn.now < give_up_at:
        turn.wake_by(give_up_at)
        return
    turn.do(Log(ERROR, "a task was handed over and never began", {"job_id": job.job_id}))
    on_unclaimed(turn, Unclaimed(job.tag, is_looked_at=False))
