"""Targets and their leases, web processes and their heartbeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.core.lease import Lease
from foreman.parsing import TargetSpec
from foreman.store.models import Resident, Target, WebProcess


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target as all processes see it."""

    name: str
    url: str
    worker: str | None
    is_leased: bool
    sick_reason: str | None
    reason: str | None


def declare_targets(connection: Connection, specs: Sequence[TargetSpec]) -> None:
    """Make the rows say what the settings say; leases stay as they are.

    What is loaded there and what was learned of its room is forgotten when its URL changes: it is
    another server.
    """
    for spec in specs:
        row = upsert(Target).values(name=spec.name, url=spec.url, slots=spec.slots)
        is_same = Target.url == spec.url
        room = case((is_same, Target.room), else_=literal({}, JSONB))
        of_another = select(Target.name).where(Target.name == spec.name, ~is_same)
        connection.execute(delete(Resident).where(Resident.target.in_(of_another)))
        changes = {"url": spec.url, "slots": spec.slots, "room": room}
        connection.execute(row.on_conflict_do_update(index_elements=[Target.name], set_=changes))


def acquire_lease(
    connection: Connection, names: Sequence[str], *, worker: str, lease_s: float
) -> Lease | None:
    """Take the lease of a free target among `names`; None when all are held."""
    free = (
        select(Target.name)
        .where(
            Target.name.in_(names),
            or_(Target.lease_until.is_(None), Target.lease_until < func.now()),
        )
        .order_by(Target.name)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Target)
        .where(Target.name.in_(free))
        .values(
            worker=worker,
            fence=Target.fence + 1,
            lease_until=func.now() + timedelta(seconds=lease_s),
            sick_since=None,
            sick_reason=None,
        )
        .returning(Target.name, Target.fence)
    )
    row = connection.execute(statement).one_or_none()
    return Lease(*row) if row else None


def renew_lease(connection: Connection, lease: Lease, *, lease_s: float) -> bool:
    """Prolong a lease; False when somebody else holds it by now."""
    statement = (
        update(Target)
        .where(
            Target.name == lease.target,
            Target.fence == lease.fence,
            Target.worker.is_not(None),  # a heartbeat after the release takes nothing back
        )
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
        .returning(Target.name)
    )
    return connection.scalar(statement) is not None


def release_lease(connection: Connection, lease: Lease) -> None:
    """Give a target back before the lease runs out."""
    statement = (
        update(Target)
        .where(Target.name == lease.target, Target.fence == lease.fence)
        .values(lease_until=None, worker=None)
    )
    connection.execute(statement)


def read_targets(connection: Connection, *, grace_s: float = 0) -> list[TargetRow]:
    """All targets; one whose lease ran out less than `grace_s` ago still counts as leased."""
    is_leased = func.coalesce(Target.lease_until > func.now() - timedelta(seconds=grace_s), False)
    statement = select(
        Target.name,
        Target.url,
        Target.worker,
        is_leased,
        Target.sick_reason,
        Target.reason,
    ).order_by(Target.name)
    return [TargetRow(*row) for row in connection.execute(statement)]


def register_web(
    connection: Connection, web_id: UUID, *, host: str, pid: int, frame_key: bytes | None = None
) -> None:
    """Say that a web process lives; again and again, as its heartbeat."""
    row = upsert(WebProcess).values(id=web_id, host=host, pid=pid, frame_key=frame_key)
    connection.execute(
        row.on_conflict_do_update(index_elements=[WebProcess.id], set_={"seen_at": func.now()})
    )


def read_frame_key(connection: Connection, web_id: UUID) -> bytes | None:
    """The key for frames to a web process; None: it has none, or there is no such process."""
    key: bytes | None = connection.scalar(
        select(WebProcess.frame_key).where(WebProcess.id == web_id)
    )
    return key


def unregister_web(connection: Connection, web_id: UUID) -> None:
    """Say that a web process ends; what its clients still wait for is cancelled at once."""
    connection.execute(delete(WebProcess).where(WebProcess.id == web_id))


def forget_webs(connection: Connection, *, silence_s: float) -> int:
    """Remove web processes that have been silent for long; returns how many."""
    old = WebProcess.seen_at < func.now() - timedelta(seconds=silence_s)
    return len(connection.execute(delete(WebProcess).where(old).returning(WebProcess.id)).all())
