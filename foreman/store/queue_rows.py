"""What the queues look like from outside: what waits, run times, targets, costs."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Double,
    Integer,
    Text,
    case,
    extract,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.orm import aliased

from foreman.core.outlook import Cost
from foreman.core.waiting import Waiting
from foreman.scheduling.prospect import RunTimes
from foreman.store.models import Job, ResidencyCost, Resident, Swap, Target
from foreman.store.upkeep import waiting_queues

# Ended runs of a residency that its times are taken from.
SAMPLE = 200
# How many of them ended of late is how fast its jobs come.
RATE_OVER_S = 600
# Lingers that have ended in this time are reported.
LINGERS_OVER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ResidentState:
    """A residency that a target has loaded or is loading, as its worker last wrote it down."""

    queue: str
    model: str | None
    size_bytes: int
    is_pinned: bool
    is_loading: bool
    dwell_s: float
    running: int = 0


@dataclass(frozen=True, slots=True)
class Lingers:
    """Lingers that have ended: how many, how many of them by a job; the seconds of the others."""

    ended: int = 0
    answered: int = 0
    wasted_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target, as its worker last wrote it down."""

    name: str
    slots: int
    is_live: bool
    sick_reason: str | None
    reason: str | None
    room: Mapping[str, Any] = field(default_factory=dict)  # what was learned of it
    residents: Sequence[ResidentState] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)  # by model queue
    lingers: Lingers = Lingers()


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """All that is known of the queues at one moment."""

    waiting: Sequence[Waiting]
    targets: Sequence[TargetState]
    runs: Mapping[str, RunTimes]
    read_at: float = float("inf")  # on this process's monotonic clock


def read_queues(connection: Connection) -> QueueFacts:
    """What waits, on which targets, and what it takes there."""
    read_at = time.monotonic()
    waiting = waiting_queues(connection)
    targets = _targets(connection)
    resident = {each.queue for target in targets for each in target.residents}
    queues = sorted({each.queue for each in waiting} | resident)
    return QueueFacts(waiting, targets, run_times(connection, queues), read_at)


def _targets(connection: Connection) -> list[TargetState]:
    residents, costs = _residents(connection), _costs(connection)
    lingers = _lingers(connection)
    statement = select(
        Target.name,
        Target.slots,
        func.coalesce(Target.lease_until > func.now(), False).label("is_live"),
        Target.sick_reason,
        Target.reason,
        Target.room,
    ).order_by(Target.name)
    return [
        TargetState(
            **row,
            residents=residents.get(row["name"], ()),
            costs=costs.get(row["name"], {}),
            lingers=lingers.get(row["name"], Lingers()),
        )
        for row in connection.execute(statement).mappings()
    ]


def _residents(connection: Connection) -> dict[str, list[ResidentState]]:
    working = (
        select(Job.target, Job.queue, func.count().label("running"))
        .where(Job.state == "working")
        .group_by(Job.target, Job.queue)
        .subquery()
    )
    is_its = (working.c.target == Resident.target) & (working.c.queue == Resident.queue)
    statement = (
        select(
            Resident.target,
            Resident.queue,
            Resident.model,
            Resident.size_bytes,
            Resident.is_pinned,
            Resident.is_loading,
            extract("epoch", func.now() - Resident.since).cast(Double),
            func.coalesce(working.c.running, 0),
        )
        .outerjoin(working, is_its)
        .order_by(Resident.since, Resident.queue)
    )
    found: dict[str, list[ResidentState]] = defaultdict(list)
    for target, *rest in connection.execute(statement):
        found[target].append(ResidentState(*rest))
    return found


def _costs(connection: Connection) -> dict[str, dict[str, Cost]]:
    idle = extract("epoch", func.now() - ResidencyCost.served_until).cast(Double)
    asked = select(ResidencyCost.target, ResidencyCost.queue, ResidencyCost.swap_s, idle)
    costs: dict[str, dict[str, Cost]] = defaultdict(dict)
    for target, queue, swap_s, idle_s in connection.execute(asked):
        costs[target][queue] = Cost(swap_s, idle_s)
    return costs


def _lingers(connection: Connection) -> dict[str, Lingers]:
    sums = (func.sum(Swap.lingers), func.sum(Swap.lingers_answered), func.sum(Swap.linger_wasted_s))
    of_late = Swap.at > func.now() - LINGERS_OVER
    statement = select(Swap.target, *sums).where(of_late).group_by(Swap.target)
    rows = connection.execute(statement)
    return {target: Lingers(ended, won, wasted) for target, ended, won, wasted in rows}


def run_times(connection: Connection, queues: Sequence[str]) -> dict[str, RunTimes]:
    """How long the newest successful runs of these residencies took; none: it is missing."""
    if not queues:
        return {}
    # One parameter, not one for each queue: SQLAlchemy then builds the statement only once.
    names = func.unnest(literal(list(queues), ARRAY(Text)))
    asked = names.table_valued("queue", name="asked").render_derived()
    ended = aliased(Job)
    took = extract("epoch", ended.ended_at - ended.working_at).cast(Double)
    age = extract("epoch", func.now() - ended.ended_at).cast(Double)
    newest = (
        select(took.label("took"), age.label("age"))
        .where(ended.queue == asked.c.queue, ended.status == 200, ended.working_at.is_not(None))
        .order_by(ended.ended_at.desc())
        .limit(SAMPLE)
        .lateral()
    )
    p50, p90 = (func.percentile_cont(part).within_group(newest.c.took) for part in (0.5, 0.9))
    of_late = func.count().filter(newest.c.age < RATE_OVER_S).cast(Double)
    # A sample that is full has ended within less time than that.
    is_full = func.count() == literal(SAMPLE, Integer)
    within = case((is_full, func.least(func.max(newest.c.age), RATE_OVER_S)), else_=RATE_OVER_S)
    figures = (p50, p90, func.avg(newest.c.took), of_late / func.greatest(within, 1.0))
    statement = select(asked.c.queue, *figures).select_from(asked).join(newest, true())
    rows = connection.execute(statement.group_by(asked.c.queue))
    return {queue: RunTimes(*rest) for queue, *rest in rows}
