"""The requests of jobs that are too large for the statement that accepts or claims their job.

A small one travels in that statement. A large one follows it in the same transaction, and is read
after the claim.
"""

import json
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, bindparam, select

from foreman.core.frames import Headers
from foreman.store.fixed import FixedStatement
from foreman.store.large import Value, copy_rows, range_of, read_whole, time_to_write
from foreman.store.models import Payload

LargePayload = tuple[UUID, str, Headers, Value]  # job, query, headers, body

_COLUMNS = ("job_id", "query", "headers", "body")
_READ = FixedStatement(select(range_of(Payload.body)).where(Payload.job_id == bindparam("of_job")))
_JSONB_VERSION = b"\x01"


def write_payloads(connection: Connection, payloads: Iterable[LargePayload]) -> None:
    """Insert the payloads of jobs that this transaction has inserted."""
    rows = [
        (job_id.bytes, query.encode(), _JSONB_VERSION + json.dumps(headers).encode(), body)
        for job_id, query, headers, body in payloads
    ]
    with time_to_write(connection, sum(len(body) for *_, body in rows)):
        copy_rows(connection, "payloads", _COLUMNS, rows)


def read_body(connection: Connection, job_id: UUID, size_bytes: int) -> bytes | None:
    """The body of a job's request, of this size; None when it was removed."""

    def read(start: int, length: int) -> bytes | None:
        values = {"of_job": job_id, "start": start + 1, "length": length}
        piece: bytes | None = _READ.read_value(connection, values)
        return piece

    return read_whole(read, size_bytes)
