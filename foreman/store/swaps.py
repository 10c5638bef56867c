"""What a worker that serves one residency at a time tells, in terms of residents."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from foreman.core.lease import Lease
from foreman.core.residents import LoadRow, ResidentRow
from foreman.store.models import Resident
from foreman.store.residents import read_residents, record_load, tell_loading, tell_residents


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


def read_resident(connection: Connection, target: str) -> str | None:
    """The model queue that a target has loaded; None when a swap was never finished."""
    residents = read_residents(connection, target)
    return residents[0][0] if residents else None


def begin_swap(connection: Connection, lease: Lease, to_queue: str, *, reason: str) -> None:
    """Say that the lease's target is being brought to `to_queue`, and why; `reason` is words."""
    tell_loading(connection, lease, to_queue, reason=reason)


def forget_swap(connection: Connection, lease: Lease) -> None:
    """Say that the lease's target loads nothing after all."""
    tell_loading(connection, lease, None, reason="its job was gone")


def record_swap(connection: Connection, lease: Lease, swap: SwapRecord) -> None:
    """Write that the lease's target now serves `swap.to_queue`, and a line of the ledger.

    After a failed load it serves nothing. Nothing is written by who does not hold the lease any
    more.
    """
    loaded = select(Resident.queue).where(
        Resident.target == lease.target, Resident.is_loading.is_(False)
    )
    before = tuple(connection.scalars(loaded))
    row = ResidentRow(swap.to_queue, swap.model, 0, is_pinned=False)
    tell_residents(connection, lease, [] if swap.cost_s is None else [row])
    if swap.cost_s is None:
        tell_loading(connection, lease, None, reason="its load has failed")
    line = LoadRow(
        queue=swap.to_queue,
        model=swap.model,
        unloaded=tuple(queue for queue in before if queue != swap.to_queue),
        reason=swap.reason,
        cost_s=swap.cost_s,
        was_loaded=swap.was_loaded,
        head_wait_s=swap.head_wait_s,
        jobs_served=swap.jobs_served,
        lingers=0,
        lingers_answered=0,
        linger_wasted_s=0.0,
    )
    record_load(connection, lease, line)
