"""The ledger of loads, page by page, and what draining has saved."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Double, and_, func, or_, select

from foreman.store.models import Job, ResidencyCost, Swap

# The newest jobs that are compared with first in, first out.
SAVINGS_OVER_JOBS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRow:
    """One line of the ledger. Times in seconds."""

    id: int
    at: datetime
    target: str
    to_queue: str
    unloaded: list[str]  # queues
    reason: str
    cost_s: float | None
    jobs_served: int
    head_wait_s: float | None
    lingers: int
    lingers_answered: int
    linger_wasted_s: float


_SWAP = tuple(getattr(Swap, name) for name in SwapRow.__dataclass_fields__)


def list_swaps(connection: Connection, *, before_id: int | None, limit: int) -> list[SwapRow]:
    """The newest loads first; `before_id` is the last one of the page before."""
    statement = select(*_SWAP, Swap.from_queue).order_by(Swap.id.desc()).limit(limit)
    if before_id is not None:
        statement = statement.where(Swap.id < before_id)
    return [_swap_row(**row) for row in connection.execute(statement).mappings()]


def _swap_row(*, unloaded: list[str] | None, from_queue: str | None, **rest: object) -> SwapRow:
    if unloaded is None:  # a line of the version with one resident
        unloaded = [from_queue] if from_queue else []
    return SwapRow(unloaded=unloaded, **rest)  # type: ignore[arg-type]  # a row of these very columns


@dataclass(frozen=True, slots=True)
class Savings:
    """The newest jobs, and their loads against those of first in, first out."""

    jobs: int
    swaps: int
    cost_s: float
    fifo_swaps: int
    fifo_cost_s: float


def read_savings(connection: Connection) -> Savings:
    """What draining has saved over the newest jobs.

    A target that serves strictly in order of arrival, one model at a time, loads whenever a job's
    residency differs from that of the job before it. Each load counts with what it costs by now.
    """
    newest = (
        select(Job.target, Job.queue, Job.created_at, Job.id)
        .where(Job.target.is_not(None))
        .order_by(Job.created_at.desc(), Job.id.desc())
        .limit(SAVINGS_OVER_JOBS)
        .subquery()
    )
    before = func.lag(newest.c.queue).over(
        partition_by=newest.c.target, order_by=(newest.c.created_at, newest.c.id)
    )
    served = select(newest, before.label("before")).subquery()
    jobs, since = connection.execute(
        select(func.count(), func.min(newest.c.created_at)).select_from(newest)
    ).one()
    loads = served.c.queue != served.c.before
    if jobs < SAVINGS_OVER_JOBS:  # else what a target had loaded before its first one is not known
        loads = or_(loads, served.c.before.is_(None))
    swap_s = func.coalesce(ResidencyCost.swap_s, 0.0)
    is_its = and_(ResidencyCost.target == served.c.target, ResidencyCost.queue == served.c.queue)
    fifo = select(func.count(), func.coalesce(func.sum(swap_s), 0.0).cast(Double))
    fifo = fifo.select_from(served).outerjoin(ResidencyCost, is_its).where(loads)
    made = select(func.count(), func.coalesce(func.sum(Swap.cost_s), 0.0).cast(Double))
    if since is not None:
        made = made.where(Swap.at >= since)
    return Savings(jobs, *connection.execute(made).one(), *connection.execute(fifo).one())
