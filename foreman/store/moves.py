"""Moving jobs between states: one statement that updates the rows and writes their events.

Every change of a job's state in `store` goes through `move`, so none can be without its event, and
none can leave an end state.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, insert, literal, select, update

from foreman.core.states import END_STATES, JobState, Source, can_move
from foreman.store.models import Event, Job


def move(
    to: JobState, *conditions: ColumnElement[bool], reason: str | None = None, **values: Any
) -> Select[Any]:
    """A statement that moves the matching jobs to `to`, writes an event each, returns the jobs.

    Its rows are the moved jobs' columns; no row means that no job was in a state that may become
    `to` and matched.
    """
    origins = [state for state in JobState if can_move(state, to)]
    if to in END_STATES:
        values["ended_at"] = func.now()
    moved = (
        update(Job)
        .where(Job.state.in_(origins), *conditions)
        .values(state=to, seq=Job.seq + 1, **values)
        .returning(*Job.__table__.columns)
        .cte("moved")
    )
    columns = moved.c
    event = insert(Event).from_select(
        ["job_id", "seq", "state", "attempt", "reason"],
        select(columns.id, columns.seq, literal(to.value), columns.attempt, literal(reason)),
    )
    return select(moved).add_cte(event.cte("event"))


def durability(source: ColumnElement[str]) -> ColumnElement[str]:
    """An expression to select: commits of synchronous jobs need not wait for the disk.

    Their client holds a connection and sees a loss; a job that was accepted with 202 may not be
    lost. It acts on the running transaction only.
    """
    setting = case((source == Source.SYNC.value, "off"), else_="on")
    return func.set_config("synchronous_commit", setting, True)
