"""How jobs of a residency follow each other, and what lingering for them brought."""

from foreman.scheduling.rhythm import NO_RHYTHM, Lingered, credit_after
from foreman.worker.state import LONG_AGO, Resident
from foreman.worker.steps.turn import Turn

# Residencies whose past is remembered; those that were seen last.
KEPT = 500


def arrived(turn: Turn, queue: str, came_at: float) -> None:
    """A job of the residency came at `came_at`; told when it is claimed, in the order of claims."""
    known = turn.state.rhythms.get(queue, NO_RHYTHM)
    answered_at = turn.state.answered_at.get(queue, LONG_AGO)
    # Next to other jobs of the residency it ended no gap.
    is_gap = LONG_AGO < answered_at < came_at and turn.state.running(queue) <= 1
    rhythms = {each: past for each, past in turn.state.rhythms.items() if each != queue}
    while len(rhythms) >= KEPT:
        del rhythms[next(iter(rhythms))]
    rhythms[queue] = known.arrived(came_at, came_at - answered_at if is_gap else None)
    turn.change(rhythms=rhythms)


def answered(turn: Turn, queue: str) -> None:
    """A job of the residency was answered."""
    known = turn.state.rhythms.get(queue)
    if known is not None and (now_known := known.answered(turn.now)) is not known:
        turn.change(rhythms={**turn.state.rhythms, queue: now_known})


def linger_answered(turn: Turn, resident: Resident) -> None:
    """A job came while its residency was kept for it: a load was saved."""
    if resident.lingers_since is not None:
        _end(turn, resident, is_answered=True)


def linger_ended(turn: Turn, resident: Resident) -> None:
    """It goes after all."""
    if resident.lingers_since is not None:
        _end(turn, resident, is_answered=False)


def _end(turn: Turn, resident: Resident, *, is_answered: bool) -> None:
    assert resident.lingers_since is not None
    load_s = resident.load_s or turn.state.view.costs.swap_s(resident.queue)
    seconds = turn.now - resident.lingers_since
    linger = Lingered(seconds, load_s if is_answered else 0.0)
    past = turn.state.rhythms.get(resident.queue, NO_RHYTHM)
    turn.change(
        rhythms={**turn.state.rhythms, resident.queue: past.lingered(linger)},
        linger_credit=credit_after(turn.state.linger_credit, linger, load_s),
    )
    turn.change_resident(
        resident.queue,
        lingers_since=None,
        lingers=resident.lingers + 1,
        lingers_answered=resident.lingers_answered + is_answered,
        linger_wasted_s=resident.linger_wasted_s + (0.0 if is_answered else seconds),
    )
