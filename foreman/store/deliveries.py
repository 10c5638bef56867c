"""The ledger of deliveries: what was owed, what was tried, and sending it again."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from foreman.core.states import DELIVERY_MOVES, DeliveryState
from foreman.core.webhooks import AttemptError
from foreman.store.hook_models import Attempt, Delivery

# When a delivery was owed, and its id: the order of pages.
Place = tuple[datetime, UUID]

REPLAY_BATCH = 500
REPLAY_LIMIT = 10_000

_COLUMNS: list[Any] = [
    Delivery.id,
    Delivery.job_id,
    Delivery.seq,
    Delivery.type,
    Delivery.url,
    Delivery.state,
    Delivery.next_at,
    Delivery.created_at,
    Delivery.ended_at,
]
_SHOWN = select(*_COLUMNS)
_PLACE = select(Delivery.created_at, Delivery.id)
_NEWEST = (Delivery.created_at.desc(), Delivery.id.desc())


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One HTTP try."""

    number: int
    at: datetime  # its end
    status: int | None  # None: no answer
    ms: int
    excerpt: str  # the beginning of the answer's body
    error_class: AttemptError | None  # None: it was accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """What is owed to a receiver for one event, and its attempts, oldest first."""

    id: UUID  # the webhook-id
    job_id: UUID
    seq: int
    type: str
    url: str = field(repr=False)  # its path or query may hold a token
    state: DeliveryState
    next_at: datetime | None  # of a pending one: when it is due
    created_at: datetime
    ended_at: datetime | None
    attempts: tuple[AttemptRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which deliveries to replay: those of [since, until), and only those after `after`."""

    since: datetime
    until: datetime
    state: DeliveryState | None = None
    after: Place | None = None

    def terms(self) -> list[ColumnElement[bool]]:
        terms = [Delivery.created_at >= self.since, Delivery.created_at < self.until]
        if self.state is not None:
            terms.append(Delivery.state == self.state.value)
        if self.after is not None:
            terms.append(tuple_(*_PLACE.selected_columns) > self.after)
        return terms


@dataclass(frozen=True, slots=True)
class Replay:
    """What one call has made due; `last` is `after` of the next call, None when all are done."""

    count: int
    last: Place | None


def list_deliveries(connection: Connection, job_id: UUID) -> list[DeliveryRow]:
    """All deliveries of a job, in the order of its events."""
    return _read(connection, _SHOWN.where(Delivery.job_id == job_id).order_by(Delivery.seq))


def list_all(
    connection: Connection,
    *,
    state: DeliveryState | None = None,
    limit: int = 100,
    after: UUID | None = None,
) -> list[DeliveryRow]:
    """Deliveries of all jobs, newest first; `after` is the last one of the page before."""
    page = _SHOWN.order_by(*_NEWEST).limit(limit)
    if state is not None:
        page = page.where(Delivery.state == literal_column(f"'{state}'"))  # for the partial index
    if after is not None:
        last = connection.execute(_PLACE.where(Delivery.id == after)).one_or_none()
        page = page.where(tuple_(*_PLACE.selected_columns) < (last or (None, None)))
    return _read(connection, page)


def redeliver(connection: Connection, delivery_id: UUID) -> DeliveryRow | None:
    """Make a delivery due now, whatever became of it; None when it is unknown.

    The same id and the same bytes go out. It takes the place of the attempt that a pending one
    waits for; when no attempt is left, it is a single one. One that is being sent goes on.
    """
    connection.execute(_make_due(Delivery.id == delivery_id))
    return next(iter(_read(connection, _SHOWN.where(Delivery.id == delivery_id))), None)


def count_replay(connection: Connection, chosen: Chosen) -> int:
    """How many deliveries `replay` would make due, in all its calls together."""
    return connection.scalar(select(func.count()).select_from(Delivery).where(*chosen.terms())) or 0


def replay(connection: Connection, chosen: Chosen) -> Replay:
    """Make these deliveries due now, oldest first.

    At most REPLAY_LIMIT, in batches that each lock little; after as many, ask for the rest.
    """
    within = chosen.terms()
    after, count = chosen.after, 0
    while count < REPLAY_LIMIT:
        oldest = _PLACE.where(*within).order_by(*_PLACE.selected_columns).limit(REPLAY_BATCH)
        places = connection.execute(oldest).all()
        if not places:
            return Replay(count, None)
        connection.execute(_make_due(Delivery.id.in_([place.id for place in places])))
        count += len(places)
        after = places[-1].created_at, places[-1].id
        within.append(tuple_(*_PLACE.selected_columns) > after)
    return Replay(count, after)


def _make_due(which: ColumnElement[bool]) -> Update:
    pending = DeliveryState.PENDING
    origins = [pending, *(old for old, moves in DELIVERY_MOVES.items() if pending in moves)]
    return (
        update(Delivery)
        .where(which, Delivery.state.in_(origins))
        .values(state=pending.value, next_at=func.now(), ended_at=None)
    )


def _read(connection: Connection, chosen: Select[Any]) -> list[DeliveryRow]:
    rows = connection.execute(chosen).all()
    tried = select(Attempt).where(Attempt.delivery_id.in_([row.id for row in rows]))
    attempts: dict[UUID, list[AttemptRow]] = defaultdict(list)
    for row in connection.execute(tried.order_by(Attempt.number)):
        error = AttemptError(row.error_class) if row.error_class else None
        attempts[row.delivery_id].append(
            AttemptRow(row.number, row.at, row.status, row.ms, row.excerpt, error)
        )
    return [_shown(row, attempts[row.id]) for row in rows]


def _shown(row: Row[Any], attempts: list[AttemptRow]) -> DeliveryRow:
    state = DeliveryState(row.state)
    return DeliveryRow(
        id=row.id,
        job_id=row.job_id,
        seq=row.seq,
        type=row.type,
        url=row.url,
        state=state,
        next_at=row.next_at if state is DeliveryState.PENDING else None,
        created_at=row.created_at,
        ended_at=row.ended_at,
        attempts=tuple(attempts),
    )
