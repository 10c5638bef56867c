"""The outbox: the deliveries that events owe, each with its body as it will be sent.

A body is made by the statement that makes the event, so an event cannot be without its delivery,
and what is sent later is what was true then. Its result is there already: a run stores its
artifacts before it ends its job, in the same transaction.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from foreman.core import webhooks
from foreman.core.states import END_STATES, DeliveryState, JobState
from foreman.store.hook_models import Delivery, Hook
from foreman.store.models import Artifact, Job

RESULT_NAME = "response.json"
JSON_TYPE = "application/json"

# What a move may change besides, and the body of its event tells.
TOLD_OF_AN_END = (Job.status, Job.error_code, Job.error_message, Job.error_is_permanent)

_COLUMNS = ["job_id", "seq", "type", "url", "receiver", "body", "next_at"]


def owe(moved: FromClause, to: JobState, reason: ColumnElement[Any]) -> Insert:
    """The insertion of what the events owe that brought the jobs of `moved` into `to`.

    `moved` has the columns id, seq, attempt and fence, and at an end those of `TOLD_OF_AN_END`.
    Jobs without a hook cost one look for it each.
    """
    job = moved.c
    event = webhooks.event_type(to)
    wanted = or_(Hook.events.is_(None), _constant(event) == any_(Hook.events))
    owed = (
        select(
            job.id,
            job.seq,
            _constant(event),
            Hook.url,
            Hook.receiver,
            func.convert_to(cast(_body(moved, to, reason), Text), _constant("UTF8")),
            _due(moved),
        )
        .join_from(moved, Hook, and_(Hook.job_id == job.id, Hook.gone_at.is_(None), wanted))
        # As it was before the move: only what no move changes is read here.
        .join(Job, Job.id == job.id)
    )
    return insert(Delivery).from_select(_COLUMNS, owed)


def is_fresh(earlier: Any) -> ColumnElement[bool]:
    """A condition on a delivery: later ones of its job wait for it."""
    soon = func.now() + text(f"interval '{webhooks.FRESH_S} s'")
    return and_(
        earlier.state == literal_column(f"'{DeliveryState.PENDING}'"),
        earlier.attempts < literal_column(str(webhooks.FRESH_ATTEMPTS)),
        earlier.next_at <= soon,
    )


def _due(moved: FromClause) -> ColumnElement[Any]:
    """Now, or when the earlier one is due that holds this one back: so nobody looks in vain."""
    latest = select(func.max(Delivery.next_at)).where(
        Delivery.job_id == moved.c.id, is_fresh(Delivery)
    )
    return func.coalesce(latest.scalar_subquery(), func.now())


def _body(moved: FromClause, to: JobState, reason: ColumnElement[Any]) -> ColumnElement[Any]:
    job = moved.c
    labels = cast(Job.labels, Text)
    facts: dict[str, Any] = {
        "job_id": job.id,
        "seq": job.seq,
        "state": _constant(to.value),
        "attempt": job.attempt,
        "reason": cast(reason, Text),
        "model": Job.model,
        "endpoint": Job.endpoint,
        # Beyond its limit it is left out: the job itself has it.
        "metadata": case((func.octet_length(labels) <= webhooks.METADATA_LIMIT_BYTES, Job.labels)),
        "retry_of": Job.retry_of,
        "created_at": Job.created_at,
    }
    if to in END_STATES:
        facts |= _ending(moved)
    return _object(
        {
            "type": _constant(webhooks.event_type(to)),
            "timestamp": func.now(),
            "data": _object(facts),
        }
    )


def _ending(moved: FromClause) -> dict[str, Any]:
    job = moved.c
    error = _object(
        {
            "type": job.error_code,
            "message": func.left(job.error_message, webhooks.ERROR_LIMIT_CHARS),
            "retryable": ~job.error_is_permanent,
        }
    )
    return {
        "status": job.status,
        "error": case((job.error_code.is_not(None), error)),
        "result": _result(moved).scalar_subquery(),
        "artifacts": _manifest(moved).scalar_subquery(),
    }


def _result(moved: FromClause) -> Select[Any]:
    """The final body, byte by byte as the target wrote it; nothing when too big or no JSON."""
    return select(func.json_or_null(Artifact.body)).where(
        Artifact.job_id == moved.c.id,
        Artifact.fence == moved.c.fence,
        Artifact.name == _constant(RESULT_NAME),
        Artifact.size_bytes <= webhooks.RESULT_LIMIT_BYTES,
    )


def _manifest(moved: FromClause) -> Select[Any]:
    """Names, sizes and checksums of what the run produced; the bytes are asked for by name."""
    columns = {
        "name": Artifact.name,
        "size": Artifact.size_bytes,
        "sha256": Artifact.sha256,
        "content_type": Artifact.content_type,
    }
    first = (
        select(Artifact.name, _object(columns).label("entry"))
        .where(Artifact.job_id == moved.c.id, Artifact.fence == moved.c.fence)
        .order_by(Artifact.name)
        .limit(webhooks.MANIFEST_LIMIT)
        .correlate(moved)
        .subquery("first")
    )
    return select(func.json_agg(aggregate_order_by(first.c.entry, first.c.name)))


def _object(columns: dict[str, Any]) -> ColumnElement[Any]:
    # json and not jsonb: it keeps our order and a target's own spelling.
    pairs = [part for name, column in columns.items() for part in (_constant(name), column)]
    return func.json_build_object(*pairs)


def _constant(value: str) -> ColumnElement[str]:
    """A word of ours, written into the statement: PostgreSQL need not guess a parameter's type."""
    return literal_column(f"'{value}'", Text)
