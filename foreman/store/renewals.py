"""A worker's heartbeat for its runs: their leases, their progress, what it must stop.

One locked row must not hold up the others: nothing here waits for a row that somebody has locked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    literal,
    select,
    tuple_,
    update,
)

from foreman.core.states import JobState
from foreman.store.conditions import web_is_alive
from foreman.store.models import Job


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a run learns when it renews its lease."""

    is_cancelled: bool
    has_listener: bool  # the web process whose client waits is alive
    is_renewed: bool = True  # False: its row is locked, and its lease ends when it did before


def renew_runs(
    connection: Connection, runs: Mapping[UUID, int], *, lease_s: float, web_silence_s: float
) -> dict[UUID, Renewal]:
    """Prolong the leases of these runs (job id → fence); a run that is missing was fenced off."""
    renewed = (
        update(Job)
        .where(Job.id.in_(_unlocked(runs.items())))
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
        .returning(Job.id)
        .cte("renewed")
    )
    # Read without a lock, as the rows were when this statement began.
    standing = select(
        Job.id,
        Job.cancel_requested_at.is_not(None),
        Job.web_id.is_(None) | web_is_alive(literal(timedelta(seconds=web_silence_s))),
        Job.id.in_(select(renewed.c.id)),
    ).where(_is_any_of(runs.items()))
    return {row[0]: Renewal(*row[1:]) for row in connection.execute(standing)}


def note_progress(connection: Connection, tokens: Mapping[tuple[UUID, int], int]) -> None:
    """Write how many tokens these runs (job id, fence) have brought so far."""
    so_far = case({job_id: count for (job_id, _), count in tokens.items()}, value=Job.id)
    statement = update(Job).where(Job.id.in_(_unlocked(tokens))).values(output_tokens=so_far)
    connection.execute(statement)


def _unlocked(runs: Iterable[tuple[UUID, int]]) -> Select[UUID]:
    free = select(Job.id).where(_is_any_of(runs))
    return free.with_for_update(key_share=True, skip_locked=True)


def _is_any_of(runs: Iterable[tuple[UUID, int]]) -> ColumnElement[bool]:
    return (Job.state == JobState.WORKING) & tuple_(Job.id, Job.fence).in_(list(runs))
