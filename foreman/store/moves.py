"""Moving jobs between states: one statement that updates rows, writes events, owes deliveries.

Every change of a job's state in `store` goes through `move`, so none can be without its event or
the delivery that it owes, and none can leave an end state. Building a statement costs more than
running it: the ones of every request are built once, with named parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    case,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    update,
)

from foreman.core.states import END_STATES, JobState, Source, can_move
from foreman.errors import ForemanError
from foreman.store.models import Event, Job
from foreman.store.outbox import TOLD_OF_AN_END, owe

_ALWAYS = (Job.id, Job.source, Job.seq, Job.attempt, Job.fence)


@dataclass(frozen=True, slots=True)
class Move:
    """The moved jobs and their events, as parts of one statement."""

    jobs: CTE  # rows: id, source, seq, attempt, fence and what was asked for besides
    event: CTE
    owed: CTE

    def read(self, *columns: Any) -> Select[Any]:
        """The statement that makes the move and returns these columns, or all of `jobs`."""
        return select(*(columns or [self.jobs])).add_cte(self.event, self.owed)


def move(
    to: JobState,
    *conditions: ColumnElement[bool],
    reason: ColumnElement[Any] | str | None = None,
    failure: type[ForemanError] | None = None,
    returning: Sequence[Any] = (),
    values: dict[str, Any] | None = None,
) -> Move:
    """Move the matching jobs to `to`; write an event each, and the delivery that it owes.

    No row means that no job matched in a state that may become `to`. With `failure` the jobs say
    what went wrong, and its code is the reason.
    """
    changes = {"state": to.value, "seq": Job.seq + 1, **(values or {})}
    if failure is not None:
        reason = failure.code
        changes |= {
            "error_code": failure.code,
            "error_message": str(failure()),
            "error_is_permanent": failure.is_permanent,
        }
    if to is not JobState.WORKING:
        changes["phase"] = null()
    asked = [*_ALWAYS, *returning]
    if to in END_STATES:
        changes["ended_at"] = func.now()
        asked += [column for column in TOLD_OF_AN_END if column not in set(asked)]
    # Written into the statement: a list of parameters would have it rendered again each time.
    origins: list[Any] = [
        literal_column(f"'{origin}'") for origin in JobState if can_move(origin, to)
    ]
    moved = (
        update(Job)
        .where(Job.state.in_(origins), *conditions)
        .values(changes)
        .returning(*asked)
        .cte("moved")
    )
    why = literal(reason) if reason is None or isinstance(reason, str) else reason
    event = insert(Event).from_select(
        ["job_id", "seq", "state", "attempt", "reason"],
        select(moved.c.id, moved.c.seq, literal(to.value), moved.c.attempt, why),
    )
    return Move(moved, event.cte("event"), owe(moved, to, why).cte("owed"))


def durability(source: ColumnElement[str]) -> ColumnElement[str]:
    """An expression to select: commits of synchronous jobs need not wait for the disk.

    Their client holds a connection and sees a loss; a job that was accepted with 202 may not be
    lost. It acts on the running transaction only.
    """
    setting = case((source == Source.SYNC.value, "off"), else_="on")
    return func.set_config("synchronous_commit", setting, True)
