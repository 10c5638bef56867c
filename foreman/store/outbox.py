"""The outbox: the deliveries that events owe, each with its body as it will be sent.

The statement that makes an event inserts the delivery too, so none can be without it, and what is
sent later is what was true then. The body is built by a function of the database, `webhook_body`
(migration 0003): as a part of the statement it would cost the jobs without a hook as well, since a
statement's expressions are prepared whether or not a row comes to them.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Text,
    and_,
    any_,
    cast,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
)

from foreman.core.states import END_STATES, JobState
from foreman.core.webhooks import FRESH_ATTEMPTS, FRESH_S, event_type
from foreman.store.hook_models import Delivery, Hook
from foreman.store.models import Job

# What a move may change besides, and the body of its event tells.
TOLD_OF_AN_END = (Job.status, Job.error_code, Job.error_message, Job.error_is_permanent)

_COLUMNS = ["job_id", "seq", "type", "url", "receiver", "body", "next_at"]


def owe(moved: FromClause, to: JobState, reason: ColumnElement[Any]) -> Insert:
    """The insertion of what the events owe that brought the jobs of `moved` into `to`.

    `moved` has the columns id, seq, attempt and fence, and at an end those of `TOLD_OF_AN_END`.
    Jobs without a hook cost one look for it each.
    """
    job = moved.c
    event = _constant(event_type(to))
    told = [
        job[column.name] if to in END_STATES else cast(null(), column.type)
        for column in TOLD_OF_AN_END
    ]
    body = func.webhook_body(
        job.id, job.seq, _constant(to.value), job.attempt, job.fence, cast(reason, Text), *told
    )
    # With the earlier one that holds it back, if there is one: so nobody looks at it in vain.
    due = func.delivery_due(job.id, _number(FRESH_ATTEMPTS), _number(FRESH_S))
    wanted = or_(Hook.events.is_(None), event == any_(Hook.events))
    owed = select(job.id, job.seq, event, Hook.url, Hook.receiver, body, due).join_from(
        moved, Hook, and_(Hook.job_id == job.id, Hook.gone_at.is_(None), wanted)
    )
    return insert(Delivery).from_select(_COLUMNS, owed)


# Written into the statement: PostgreSQL need not guess a parameter's type.
def _constant(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", Text)


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value))
