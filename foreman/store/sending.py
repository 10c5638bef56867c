"""Deliveries on their way: a pump claims what is due, and records what came of it.

A claim raises the fence; the record of an attempt names it, and does nothing once there is a newer
claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from foreman.core.webhooks import FRESH_ATTEMPTS, FRESH_S, Outcome, Verdict, excerpt_text

# A delivery and the fence of one claim of it.
Claim = tuple[UUID, int]

# One claim at a time in all pumps: two would each find a receiver's places free. Any number will do
# that no other program uses on this database.
CLAIM_LOCK = 0x686F6F6B73

_FRESH = (
    "{0}.state = 'pending' AND {0}.attempts < "
    f"{FRESH_ATTEMPTS} AND {{0}}.next_at <= now() + interval '{FRESH_S} s'"
)

# Every receiver that is owed something, by jumps in an index: what waits for each costs nothing.
_RECEIVERS = """
WITH RECURSIVE receivers AS (
    (SELECT receiver, next_at FROM deliveries WHERE state = 'pending'
     ORDER BY receiver, next_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM receivers CROSS JOIN LATERAL (
        SELECT d.receiver, d.next_at FROM deliveries d
        WHERE d.state = 'pending' AND d.receiver > receivers.receiver
        ORDER BY d.receiver, d.next_at LIMIT 1
    ) following
)
"""

_IS_ANY_DUE = f"{_RECEIVERS} SELECT EXISTS (SELECT FROM receivers WHERE next_at <= now())"

# 1. Of each receiver that has something due, the oldest, as many as it has free places, whose job
#    has no fresh earlier one.
# 2. Everybody's first before anybody's second; receivers that are not known to answer soon get
#    `unproven_room` places at most.
_CLAIM = f"""
{_RECEIVERS}, ranked AS (
    SELECT due.id, due.next_at, receivers.receiver = ANY (%(proven)s) AS is_proven,
        row_number() OVER (PARTITION BY receivers.receiver ORDER BY due.next_at) AS rank
    FROM receivers
    CROSS JOIN LATERAL (
        SELECT count(*) AS count FROM deliveries d
        WHERE d.receiver = receivers.receiver AND d.state = 'pending' AND d.lease_until > now()
    ) busy
    CROSS JOIN LATERAL (
        SELECT d.id, d.next_at FROM deliveries d
        WHERE d.receiver = receivers.receiver AND d.state = 'pending' AND d.next_at <= now()
            AND (d.lease_until IS NULL OR d.lease_until <= now())
            AND NOT EXISTS (
                SELECT FROM deliveries e
                WHERE e.job_id = d.job_id AND e.seq < d.seq AND {_FRESH.format("e")}
            )
        ORDER BY d.next_at LIMIT greatest(%(at_once)s - busy.count, 0)
    ) due
    WHERE receivers.next_at <= now()
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY is_proven ORDER BY rank, next_at) AS place FROM ranked
), chosen AS (
    SELECT id FROM placed WHERE is_proven OR place <= %(unproven_room)s
    ORDER BY rank, next_at LIMIT %(room)s
), locked AS (
    SELECT d.id FROM deliveries d JOIN chosen USING (id)
    WHERE d.state = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= now())
    FOR UPDATE OF d SKIP LOCKED
), claimed AS (
    UPDATE deliveries d SET fence = d.fence + 1, lease_until = clock_timestamp() + %(lease)s
    FROM locked WHERE d.id = locked.id RETURNING d.*
)
SELECT claimed.id, claimed.job_id, seq, fence, attempts, claimed.url, claimed.receiver, body,
    clock_timestamp() AS at,
    CASE WHEN old_secrets_until <= now() THEN secrets[1:1] ELSE secrets END AS secrets
FROM claimed JOIN hooks ON hooks.job_id = claimed.job_id
"""

_RECORD = """
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%(attempts)s) AS given(
        id uuid, fence int, state text, wait_s float8,
        status int, ms int, excerpt text, error_class text
    )
), recorded AS (
    UPDATE deliveries d SET
        state = given.state, attempts = d.attempts + 1, lease_until = NULL,
        next_at = CASE given.state WHEN 'pending' THEN now() + given.wait_s * interval '1 s'
            ELSE d.next_at END,
        ended_at = CASE given.state WHEN 'pending' THEN NULL ELSE now() END
    FROM given
    WHERE d.id = given.id AND d.fence = given.fence
        AND d.state = 'pending' AND d.lease_until IS NOT NULL
    RETURNING d.id, d.fence, d.attempts
), kept AS (
    INSERT INTO attempts (delivery_id, number, status, ms, excerpt, error_class)
    SELECT id, recorded.attempts, status, ms, excerpt, error_class
    FROM recorded JOIN given USING (id, fence)
)
SELECT id, fence FROM recorded
"""

# What waits for a failed one is due when that is, so that no claim looks at it before.
_HOLD = f"""
UPDATE deliveries d SET next_at = e.next_at FROM deliveries e
WHERE e.id = ANY (%(failed)s) AND {_FRESH.format("e")}
    AND d.job_id = e.job_id AND d.seq > e.seq
    AND d.state = 'pending' AND d.lease_until IS NULL AND d.next_at < e.next_at
"""

_GONE = """
WITH gone AS (
    UPDATE hooks SET gone_at = now()
    WHERE job_id IN (SELECT job_id FROM deliveries WHERE id = ANY (%(gone)s)) RETURNING job_id
)
UPDATE deliveries d SET state = 'failed', ended_at = now() FROM gone
WHERE d.job_id = gone.job_id AND d.state = 'pending'
"""

_PUT_OFF = """
UPDATE deliveries SET lease_until = NULL, next_at = now() + %(wait)s
WHERE id = %(id)s AND fence = %(fence)s AND state = 'pending'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A claimed delivery: what an attempt needs."""

    id: UUID
    job_id: UUID
    seq: int
    fence: int
    attempts: int  # that were made before
    url: str = field(repr=False)  # its path or query may hold a token
    receiver: str
    body: bytes = field(repr=False)
    at: datetime  # of the claim, by the database's clock
    secrets: tuple[str, ...] = field(repr=False)  # the live ones, as they are kept

    @property
    def claim(self) -> Claim:
        """What names this claim among all of the delivery's."""
        return self.id, self.fence


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt that was made, and what is to become of its delivery."""

    due: Due
    outcome: Outcome
    verdict: Verdict


def is_any_due(connection: Connection) -> bool:
    """Whether a claim could find something: far cheaper than a claim that finds nothing."""
    return bool(connection.exec_driver_sql(_IS_ANY_DUE).scalar())


def claim_due(
    connection: Connection,
    *,
    room: int,
    unproven_room: int,
    proven: Sequence[str],
    at_once: int,
    lease_s: float,
) -> list[Due]:
    """Claim up to `room` deliveries that are due, in a transaction; `at_once` for one receiver.

    Of receivers that are not `proven`, all together, at most `unproven_room`.
    """
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%(key)s)", {"key": CLAIM_LOCK})
    values = {
        "room": room,
        "unproven_room": unproven_room,
        "proven": list(proven),
        "at_once": at_once,
        "lease": timedelta(seconds=lease_s),
    }
    rows = connection.exec_driver_sql(_CLAIM, values).mappings()
    return [Due(**(dict(row) | {"secrets": tuple(row["secrets"])})) for row in rows]


def record_attempts(connection: Connection, tried: Sequence[Tried]) -> set[Claim]:
    """Record attempts, in a transaction; returns the claims whose record was taken.

    A delivery that somebody else has claimed meanwhile is left as it is.
    """
    if not tried:
        return set()
    rows = connection.exec_driver_sql(_RECORD, {"attempts": Jsonb([_row(one) for one in tried])})
    taken = {(row.id, row.fence) for row in rows}
    heard = [one for one in tried if one.due.claim in taken]
    failed = [one.due.id for one in heard if one.outcome.error]
    gone = [one.due.id for one in heard if one.verdict.is_gone]
    if failed:
        connection.exec_driver_sql(_HOLD, {"failed": failed})
    if gone:
        connection.exec_driver_sql(_GONE, {"gone": gone})
    return taken


def _row(tried: Tried) -> dict[str, object]:
    outcome = tried.outcome
    return {
        "id": str(tried.due.id),
        "fence": tried.due.fence,
        "state": tried.verdict.state.value,
        "wait_s": tried.verdict.wait_s,
        "status": outcome.status,
        "ms": outcome.ms,
        "excerpt": excerpt_text(outcome.excerpt),
        "error_class": outcome.error,
    }


def put_off(connection: Connection, claimed: Sequence[Due], *, wait_s: float) -> None:
    """Let go of claimed deliveries that could not be tried."""
    for due in claimed:
        values = {"id": due.id, "fence": due.fence, "wait": timedelta(seconds=wait_s)}
        connection.exec_driver_sql(_PUT_OFF, values)
