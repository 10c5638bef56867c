"""What the worker of a target tells: what is loaded and loading, loads, room, health.

Each verb is several statements, so it needs a transaction. It begins by locking the target's row:
who does not hold the lease any more writes nothing, and two that tell the same target take turns.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, case, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.core.lease import Lease
from foreman.core.queues import queue_model
from foreman.core.residents import LoadRow, ResidentRow
from foreman.parsing import TargetSpec
from foreman.scheduling.room import Room, room_of
from foreman.store.models import ResidencyCost, Resident, Swap, Target

# Weight of the newest measurement in the estimate of a load.
NEWEST = 0.3


def read_residents(connection: Connection, target: str) -> tuple[tuple[str, str], ...]:
    """What a target has loaded, as (queue, model), by its rows; nothing while a load never ended.

    Its worker may have died during the load: then the rows do not say what came of it.
    """
    asked = select(Resident.queue, Resident.model, Resident.is_loading).where(
        Resident.target == target
    )
    rows = connection.execute(asked.order_by(Resident.since, Resident.queue)).all()
    if any(row.is_loading for row in rows):
        return ()
    return tuple((row.queue, row.model) for row in rows if row.model is not None)


def read_room(connection: Connection, spec: TargetSpec) -> Room:
    """What was learned of a target's room, with what the settings say of it."""
    learned = connection.scalar(select(Target.room).where(Target.name == spec.name))
    return room_of(learned or {}, residents=spec.residents, memory_bytes=spec.memory_bytes)


def save_room(connection: Connection, lease: Lease, room: Room) -> None:
    """Keep what was learned of the room of the lease's target."""
    connection.execute(_of_lease(lease).values(room=room.as_plain()))


def tell_loading(connection: Connection, lease: Lease, queue: str | None, *, reason: str) -> None:
    """Say that the lease's target loads `queue`, and why; None: nothing, after all."""
    if connection.scalar(_of_lease(lease).values(reason=reason).returning(Target.name)) is None:
        return
    others = delete(Resident).where(Resident.target == lease.target, Resident.is_loading)
    connection.execute(others if queue is None else others.where(Resident.queue != queue))
    if queue is None:
        return
    row = upsert(Resident).values(
        target=lease.target, queue=queue, model=queue_model(queue), is_loading=True
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[Resident.target, Resident.queue], set_={"is_loading": True}
        )
    )


def tell_residents(connection: Connection, lease: Lease, rows: Sequence[ResidentRow]) -> None:
    """Say what the lease's target has loaded; what it is loading stays as it was told.

    What was loaded and is not among `rows` has been unloaded now: its visit has ended.
    """
    if not _holds(connection, lease):
        return
    gone = delete(Resident).where(
        Resident.target == lease.target,
        Resident.is_loading.is_(False),
        Resident.queue.not_in([row.queue for row in rows]),
    )
    left = connection.execute(gone.returning(Resident.queue, Resident.model)).all()
    if left:
        _end_visits(connection, lease.target, {row.queue: row.model for row in left})
    if rows:
        _upsert_residents(connection, lease.target, rows)


def _upsert_residents(connection: Connection, target: str, rows: Sequence[ResidentRow]) -> None:
    names = ("queue", "model", "size_bytes", "is_pinned")
    values = [{"target": target, **{name: getattr(row, name) for name in names}} for row in rows]
    told = upsert(Resident).values(values)
    changes = {name: told.excluded[name] for name in names[1:]}
    since = case((Resident.is_loading, func.now()), else_=Resident.since)
    connection.execute(
        told.on_conflict_do_update(
            index_elements=[Resident.target, Resident.queue],
            set_={**changes, "since": since, "is_loading": False},
        )
    )


def record_load(connection: Connection, lease: Lease, row: LoadRow) -> None:
    """Write a line of the ledger, and what the load has cost."""
    if not _holds(connection, lease):
        return
    line = insert(Swap).values(
        target=lease.target,
        to_queue=row.queue,
        unloaded=list(row.unloaded),
        reason=row.reason,
        jobs_served=row.jobs_served,
        cost_s=row.cost_s,
        head_wait_s=row.head_wait_s,
        lingers=row.lingers,
        lingers_answered=row.lingers_answered,
        linger_wasted_s=row.linger_wasted_s,
    )
    connection.execute(line)
    if row.cost_s is not None and not row.was_loaded:
        _note_cost(connection, lease.target, row, row.cost_s)


def mark_sick(connection: Connection, lease: Lease, reason: str | None) -> None:
    """Say that the lease's target does no work, and why; or, with None, that it does again."""
    since = None if reason is None else func.coalesce(Target.sick_since, func.now())
    connection.execute(_of_lease(lease).values(sick_since=since, sick_reason=reason))


def _of_lease(lease: Lease):  # type: ignore[no-untyped-def]  # SQLAlchemy's Update, of no table type
    return update(Target).where(Target.name == lease.target, Target.fence == lease.fence)


def _holds(connection: Connection, lease: Lease) -> bool:
    held = select(Target.name).where(Target.name == lease.target, Target.fence == lease.fence)
    return connection.scalar(held.with_for_update()) is not None


def _end_visits(connection: Connection, target: str, left: Mapping[str, str | None]) -> None:
    # One that was found loaded has no row yet.
    rows = [
        {"target": target, "queue": queue, "model": model or queue, "served_until": func.now()}
        for queue, model in left.items()
    ]
    ended = upsert(ResidencyCost).values(rows)
    connection.execute(
        ended.on_conflict_do_update(
            index_elements=[ResidencyCost.target, ResidencyCost.queue],
            set_={"served_until": func.now()},
        )
    )


def _note_cost(connection: Connection, target: str, load: LoadRow, cost_s: float) -> None:
    row = upsert(ResidencyCost).values(
        target=target, queue=load.queue, model=load.model, swap_s=cost_s, swaps=1
    )
    newest = row.excluded.swap_s
    smoothed = (1 - NEWEST) * func.coalesce(ResidencyCost.swap_s, newest) + NEWEST * newest
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[ResidencyCost.target, ResidencyCost.queue],
            set_={"swap_s": smoothed, "swaps": ResidencyCost.swaps + 1},
        )
    )
