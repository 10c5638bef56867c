"""What the queues look like from outside: run times, targets, costs; the ledger, page by page."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Connection, Double, Text, extract, func, literal, select, true
from sqlalchemy.orm import aliased

from foreman.core.outlook import Cost
from foreman.core.prospect import RunTimes
from foreman.core.waiting import Waiting
from foreman.store.models import Job, ResidencyCost, Swap, Target
from foreman.store.upkeep import waiting_queues

# Ended runs of a residency that its times are taken from.
SAMPLE = 200


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target, as its worker last wrote it down."""

    name: str
    slots: int
    is_live: bool
    resident_queue: str | None
    dwell_s: float
    loading_queue: str | None
    sick_reason: str | None
    reason: str | None
    running: int
    costs: dict[str, Cost]  # by model queue


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """All that is known of the queues at one moment."""

    waiting: list[Waiting]
    targets: list[TargetState]
    runs: dict[str, RunTimes]
    read_at: float = float("inf")  # on this process's monotonic clock


def read_queues(connection: Connection) -> QueueFacts:
    """What waits, on which targets, and what it takes there."""
    read_at = time.monotonic()
    waiting = waiting_queues(connection)
    targets = _targets(connection)
    resident = {each.resident_queue for each in targets if each.resident_queue}
    queues = sorted({each.queue for each in waiting} | resident)
    return QueueFacts(waiting, targets, run_times(connection, queues), read_at)


def _targets(connection: Connection) -> list[TargetState]:
    costs: dict[str, dict[str, Cost]] = {}
    idle = extract("epoch", func.now() - ResidencyCost.served_until).cast(Double)
    asked = select(ResidencyCost.target, ResidencyCost.queue, ResidencyCost.swap_s, idle)
    for target, queue, swap_s, idle_s in connection.execute(asked):
        costs.setdefault(target, {})[queue] = Cost(swap_s, idle_s)
    running = (
        select(Job.target, func.count().label("running"))
        .where(Job.state == "working")
        .group_by(Job.target)
        .subquery()
    )
    statement = (
        select(
            Target.name,
            Target.slots,
            func.coalesce(Target.lease_until > func.now(), False).label("is_live"),
            Target.resident_queue,
            func.coalesce(extract("epoch", func.now() - Target.resident_since), 0.0)
            .cast(Double)
            .label("dwell_s"),
            Target.loading_queue,
            Target.sick_reason,
            Target.reason,
            func.coalesce(running.c.running, 0).label("running"),
        )
        .outerjoin(running, running.c.target == Target.name)
        .order_by(Target.name)
    )
    rows = connection.execute(statement).mappings()
    return [TargetState(**row, costs=costs.get(row["name"], {})) for row in rows]


def run_times(connection: Connection, queues: Sequence[str]) -> dict[str, RunTimes]:
    """How long the newest successful runs of these residencies took; none: it is missing."""
    if not queues:
        return {}
    # One parameter, not one for each queue: SQLAlchemy then builds the statement only once.
    names = func.unnest(literal(list(queues), ARRAY(Text)))
    asked = names.table_valued("queue", name="asked").render_derived()
    ended = aliased(Job)
    took = extract("epoch", ended.ended_at - ended.working_at).cast(Double)
    newest = (
        select(took.label("took"))
        .where(ended.queue == asked.c.queue, ended.status == 200, ended.working_at.is_not(None))
        .order_by(ended.ended_at.desc())
        .limit(SAMPLE)
        .lateral()
    )
    p50, p90 = (func.percentile_cont(part).within_group(newest.c.took) for part in (0.5, 0.9))
    statement = select(asked.c.queue, p50, p90).select_from(asked).join(newest, true())
    rows = connection.execute(statement.group_by(asked.c.queue))
    return {queue: RunTimes(p50_s, p90_s) for queue, p50_s, p90_s in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRow:
    """One line of the ledger."""

    id: int
    at: datetime
    target: str
    from_queue: str | None
    to_queue: str
    reason: str
    cost_s: float | None
    jobs_served: int
    head_wait_s: float | None
    fifo_swaps: int
    saved_s: float


_SWAP = tuple(getattr(Swap, name) for name in SwapRow.__dataclass_fields__)


def list_swaps(connection: Connection, *, before_id: int | None, limit: int) -> list[SwapRow]:
    """The newest swaps first; `before_id` is the last one of the page before."""
    statement = select(*_SWAP).order_by(Swap.id.desc()).limit(limit)
    if before_id is not None:
        statement = statement.where(Swap.id < before_id)
    rows = connection.execute(statement)
    return [SwapRow(**dict(zip(SwapRow.__dataclass_fields__, row, strict=True))) for row in rows]


@dataclass(frozen=True, slots=True)
class Savings:
    """What draining has saved against first in, first out, over all swaps that are kept."""

    swaps: int
    fifo_swaps: int
    saved_s: float


def read_savings(connection: Connection) -> Savings:
    statement = select(
        func.count(),
        func.coalesce(func.sum(Swap.fifo_swaps), 0),
        func.coalesce(func.sum(Swap.saved_s), 0.0),
    )
    return Savings(*connection.execute(statement).one())
