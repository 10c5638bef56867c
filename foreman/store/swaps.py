"""What a target's worker decides by: what waits, what swaps cost, what others serve; the ledger."""

from dataclasses import dataclass

from sqlalchemy import Connection, Double, case, extract, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.core.lease import Lease
from foreman.core.outlook import Cost
from foreman.core.waiting import Waiting
from foreman.store.models import ResidencyCost, Swap, Target
from foreman.store.upkeep import waiting_queues

# Weight of the newest measurement in a swap's estimate.
NEWEST = 0.3


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that a target's next decision depends on besides its own visit."""

    waiting: list[Waiting]
    costs: dict[str, Cost]  # by model queue
    elsewhere: frozenset[str]  # model queues that other targets have loaded and serve
    loading_elsewhere: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRecord:
    """One line of the ledger. Times in seconds."""

    to_queue: str
    model: str
    reason: str
    jobs_served: int  # in the visit that ended
    cost_s: float | None  # None: the load failed
    was_loaded: bool  # then the cost says nothing of the next swap's
    head_wait_s: float | None
    fifo_swaps: int  # that first in, first out would have made for the same jobs
    saved_s: float


def read_outlook(connection: Connection, target: str) -> Outlook:
    """What the target `target` may do next, as the database knows it now."""
    idle = extract("epoch", func.now() - ResidencyCost.served_until).cast(Double)
    costs = select(ResidencyCost.queue, ResidencyCost.swap_s, idle).where(
        ResidencyCost.target == target
    )
    others = select(Target.resident_queue, Target.loading_queue).where(
        Target.name != target, Target.lease_until > func.now(), Target.sick_since.is_(None)
    )
    rows = connection.execute(others).all()
    return Outlook(
        waiting_queues(connection),
        {queue: Cost(swap_s, idle_s) for queue, swap_s, idle_s in connection.execute(costs)},
        frozenset(row.resident_queue for row in rows if row.resident_queue),
        frozenset(row.loading_queue for row in rows if row.loading_queue),
    )


def begin_swap(connection: Connection, lease: Lease, to_queue: str, *, reason: str) -> None:
    """Say that the lease's target is being brought to `to_queue`, and why; `reason` is words."""
    statement = _of_lease(lease).values(loading_queue=to_queue, reason=reason)
    connection.execute(statement)


def forget_swap(connection: Connection, lease: Lease) -> None:
    """Say that the lease's target loads nothing after all."""
    connection.execute(_of_lease(lease).values(loading_queue=None))


def record_swap(connection: Connection, lease: Lease, swap: SwapRecord) -> None:
    """Write that the lease's target now serves `swap.to_queue`, and a line of the ledger.

    After a failed load it serves nothing. Nothing is written by who does not hold the lease any
    more.
    """
    before = connection.scalar(
        select(Target.resident_queue).where(Target.name == lease.target).with_for_update()
    )
    resident = None if swap.cost_s is None else swap.to_queue
    # Told late, after an outage, it says nothing of what is being loaded by now.
    loading = case((Target.loading_queue == swap.to_queue, None), else_=Target.loading_queue)
    changes = {"resident_queue": resident, "resident_since": func.now(), "loading_queue": loading}
    is_held = connection.scalar(_of_lease(lease).values(changes).returning(Target.name))
    if is_held is None:
        return
    line = insert(Swap).values(
        target=lease.target,
        from_queue=before,
        to_queue=swap.to_queue,
        reason=swap.reason,
        jobs_served=swap.jobs_served,
        cost_s=swap.cost_s,
        head_wait_s=swap.head_wait_s,
        fifo_swaps=swap.fifo_swaps,
        saved_s=swap.saved_s,
    )
    connection.execute(line)
    if before is not None:
        _note_end(connection, lease.target, before)
    if swap.cost_s is not None:
        _note_visit(connection, lease.target, swap)


def mark_sick(connection: Connection, lease: Lease, reason: str | None) -> None:
    """Say that the lease's target does no work, and why; or, with None, that it does again."""
    since = None if reason is None else func.coalesce(Target.sick_since, func.now())
    connection.execute(_of_lease(lease).values(sick_since=since, sick_reason=reason))


def _of_lease(lease: Lease):  # type: ignore[no-untyped-def]  # SQLAlchemy's Update, of no table type
    return update(Target).where(Target.name == lease.target, Target.fence == lease.fence)


def _note_end(connection: Connection, target: str, queue: str) -> None:
    ended = (
        update(ResidencyCost)
        .where(ResidencyCost.target == target, ResidencyCost.queue == queue)
        .values(served_until=func.now())
    )
    connection.execute(ended)


def _note_visit(connection: Connection, target: str, swap: SwapRecord) -> None:
    """See that the residency has a row, for the end of this visit; and what its load has cost."""
    is_measured = not swap.was_loaded
    row = upsert(ResidencyCost).values(
        target=target,
        queue=swap.to_queue,
        model=swap.model,
        swap_s=swap.cost_s if is_measured else None,
        swaps=int(is_measured),
    )
    if not is_measured:
        connection.execute(row.on_conflict_do_nothing())
        return
    newest = row.excluded.swap_s
    smoothed = (1 - NEWEST) * func.coalesce(ResidencyCost.swap_s, newest) + NEWEST * newest
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[ResidencyCost.target, ResidencyCost.queue],
            set_={"swap_s": smoothed, "swaps": ResidencyCost.swaps + 1},
        )
    )
