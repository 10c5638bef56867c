"""Messages: which become runs, which go back, which are done.

A message is a wake-up and the rows are the truth, so one that comes twice or late is just done.

1. It is no task: set it aside.
2. Its job is in this worker's hands already: done.
3. Nothing may be served now, or the operator has paused its queue: it goes back.
4. A load waits for its first job: this is the one.
5. Its residency is loaded and takes jobs: it runs. One that may be gone is loaded again first.
6. Nothing runs, and its residency is not loaded: it is held until the next view, and then the rules
   say whether its residency is loaded now. If not it goes back.
7. Anything else has come too late for what it was asked for: it goes back.
"""

from collections.abc import Mapping
from dataclasses import replace

from foreman.core.queues import residency_queue
from foreman.worker.effects import INFO, DoubtMessages, Log, Requeue, SetAside, StartRun
from foreman.worker.events import Connected, Empty, Message, Refuse
from foreman.worker.state import Ask, Held, Idle, Job, Load, LoadStage, Stage
from foreman.worker.steps import rhythm
from foreman.worker.steps.loads import give_up
from foreman.worker.steps.turn import Turn

# So long a residency is left out whose rows have no message yet; the relay sends lost ones again.
LEFT_OUT_S = 2.0


def on_message(turn: Turn, event: Message) -> None:
    """Judge a message; the numbers are those above."""
    state = turn.state
    queue = residency_queue(event.name)
    _note_found(turn, queue, event.number)
    if event.job_id is None:  # 1
        turn.change(undecodable=state.undecodable + 1)
        turn.do(SetAside(event.tag))
    elif any(job.job_id == event.job_id for job in state.jobs.values()):  # 2
        turn.settle(Job(event.tag, event.job_id, queue, Stage.HANDED, turn.now))
    elif not state.serves or queue in state.refused:  # 3
        turn.do(Requeue(event.tag))
    else:
        _place(turn, event.tag, event.job_id, event.name, queue)


def _place(turn: Turn, tag: int, job_id: str, name: str, queue: str) -> None:
    state = turn.state
    load, resident = state.load, state.residents.get(queue)
    has_slot = state.running(queue) < state.slots
    if load is not None and load.queue == queue and load.stage is LoadStage.PULLING and has_slot:
        start_for_load(turn, tag, job_id, load)  # 4
    elif resident is not None and not resident.is_closing:  # 5
        if has_slot and not resident.is_doubted:
            start(turn, tag, job_id, queue, is_ready=True)
        elif has_slot and load is None and not state.loads_by_itself:
            repair = Load(queue, None, "it may be gone", LoadStage.PULLING, turn.now)
            start_for_load(turn, tag, job_id, repair)
        else:
            turn.do(Requeue(tag))
    elif not state.jobs and load is None and state.held is None and resident is None:  # 6
        turn.change(held=Held(tag, name, queue, job_id, turn.now), changed_at=turn.now)
    else:  # 7
        turn.do(Requeue(tag))


def start(turn: Turn, tag: int, job_id: str, queue: str, *, is_ready: bool) -> None:
    """Hand a job over; it holds a slot from now on."""
    turn.put_job(Job(tag, job_id, queue, Stage.HANDED, turn.now))
    resident = turn.state.residents.get(queue)
    if resident is not None:
        rhythm.linger_answered(turn, resident)
    turn.do(StartRun(tag, is_ready))


def start_for_load(turn: Turn, tag: int, job_id: str, load: Load) -> None:
    """Hand over the job that a load is made for."""
    claiming = replace(load, stage=LoadStage.CLAIMING, since=turn.now, tag=tag)
    turn.change(load=claiming)
    start(turn, tag, job_id, load.queue, is_ready=False)


def judge_held(turn: Turn) -> None:
    """6. The view after a held message: its row may be gone, or may be for somebody else."""
    held = turn.state.held
    if held is None or turn.state.view.at < held.since:
        return
    if held.name not in turn.state.view.names:
        turn.change(held=None)
        turn.settle(Job(held.tag, held.job_id, held.queue, Stage.HANDED, turn.now))
        return
    load = turn.state.load
    if load is not None and load.queue == held.queue and load.stage is LoadStage.PULLING:
        turn.change(held=None)
        start_for_load(turn, held.tag, held.job_id, load)
    else:
        turn.change(held=None)
        turn.do(Requeue(held.tag))


def _note_found(turn: Turn, queue: str, number: int) -> None:
    """The broker has messages of these rows after all: they count again, at once."""
    pulls = turn.state.pulls
    if number == pulls.number:  # else the broker's thread is at a newer wish
        turn.change_pulls(wish=Idle(), answered=True)
    turn.change_pulls(
        quiet_since=turn.now,
        has_reconnected=False,
        late_since=_without(pulls.late_since, queue),
        left_out=_without(pulls.left_out, queue),
    )


def _without(times: Mapping[str, float], queue: str) -> dict[str, float]:
    return {each: at for each, at in times.items() if each != queue}


def on_empty(turn: Turn, event: Empty) -> None:
    """The broker has no message of these rows: not yet, or it has lost them."""
    pulls, load = turn.state.pulls, turn.state.load
    if event.number != pulls.number or not isinstance(pulls.wish, Ask):
        return
    asked = {residency_queue(name) for name in pulls.wish.names}
    turn.change_pulls(wish=Idle(), answered=True, asked_at=turn.now, quiet_since=turn.now)
    if load is not None and load.stage is LoadStage.PULLING and load.queue in asked:
        give_up(turn)
        leave_out(turn, load.queue)
        return
    late = {queue: turn.now for queue in asked if queue in turn.state.view.waiting}
    turn.change_pulls(late_since={**late, **turn.state.pulls.late_since})


def leave_out(turn: Turn, queue: str) -> None:
    """Count these rows as not there for a moment."""
    pulls = turn.state.pulls
    turn.do(Log(INFO, "rows wait, and the broker has no message of them", {"queue": queue}))
    turn.do(DoubtMessages(queue))
    turn.change_pulls(
        left_out={**pulls.left_out, queue: turn.now + LEFT_OUT_S},
        late_since=_without(pulls.late_since, queue),
    )


def on_connected(turn: Turn, event: Connected) -> None:
    """With a connection the messages that it brought are gone, too: they will come again."""
    turn.change_pulls(is_connected=event.is_connected, wish=Idle(), answered=True)
    if not event.is_connected:
        turn.change(
            held=None,
            jobs={tag: replace(job, is_settled=True) for tag, job in turn.state.jobs.items()},
        )


def on_refuse(turn: Turn, event: Refuse) -> None:
    """The operator pauses a model queue here, or resumes it."""
    refused = turn.state.refused
    is_refused = event.is_refused
    turn.change(refused=refused | {event.queue} if is_refused else refused - {event.queue})
