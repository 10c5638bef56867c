"""Large values to and from the database, in pieces: this process holds one copy of them.

As a parameter or in a result a value costs the driver as many bytes again, and a connection never
frees the buffer that it needed. So a large value is written with COPY and read by ranges, both in
binary. Its column is stored uncompressed (migration 0004): to find a range of a compressed value,
PostgreSQL unpacks everything in front of it.
"""

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql
from sqlalchemy import ColumnElement, Connection, Integer, bindparam, func

from foreman.core.splice import Spliced
from foreman.store.db import driver_of

# Up to this size a value travels in the statement that needs it, in one round trip.
LARGE_BYTES = 1024 * 1024
RANGE_BYTES = 1024 * 1024
# A write that is slower than this is ended, like any statement that takes too long.
SLOWEST_BYTES_PER_S = 256 * 1024

# What a column takes; of one with changes no whole copy is made.
Value = bytes | Spliced

# PostgreSQL's binary COPY format: a signature, flags, the length of an extension; at the end -1.
_BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)


def is_large(value: Value) -> bool:
    return len(value) > LARGE_BYTES


@contextmanager
def atomic(connection: Connection) -> Iterator[None]:
    """Let several statements hold together, also on a connection that commits each of them."""
    with driver_of(connection) as driver:
        if driver.autocommit:
            with driver.transaction():
                yield
        else:
            yield


def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]
) -> None:
    """Insert rows in one statement; each value is in PostgreSQL's binary format of its column."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
    with (
        driver_of(connection) as driver,
        driver.cursor() as cursor,
        cursor.copy(statement.format(sql.Identifier(table), names)) as copy,
    ):
        copy.write(_BEGIN)
        for row in rows:
            copy.write(struct.pack("!h", len(row)))
            for value in row:
                copy.write(struct.pack("!i", len(value)))
                for part in value.parts() if isinstance(value, Spliced) else [value]:
                    copy.write(memoryview(part))  # it is cut into pieces that are no copies
        copy.write(_END)


@contextmanager
def time_to_write(connection: Connection, size_bytes: int) -> Iterator[None]:
    """Let a statement of this transaction take as long as so many bytes may need."""
    extra_s = size_bytes / SLOWEST_BYTES_PER_S
    with driver_of(connection) as driver:
        usual_s = driver.statement_limit_s
        _limit_statements(connection, usual_s + extra_s)
        driver.statement_limit_s = usual_s + extra_s
        try:
            yield  # after an error the transaction ends, and the server's limit with it
        finally:
            driver.statement_limit_s = usual_s
    _limit_statements(connection, usual_s)


def _limit_statements(connection: Connection, limit_s: float) -> None:
    setting = "SELECT set_config('statement_timeout', %s, true)"
    connection.exec_driver_sql(setting, (str(round(limit_s * 1000)),))


def range_of(column: Any) -> ColumnElement[bytes]:
    """An expression to select: `length` bytes of a value from `start`, which counts from 1."""
    return func.substring(
        column, bindparam("start", type_=Integer()), bindparam("length", type_=Integer())
    )


def read_whole(read: Callable[[int, int], bytes | None], size_bytes: int) -> bytes | None:
    """A value of this size by ranges; `read` gets their start and length. None: it is gone."""
    whole = io.BytesIO()
    for start in range(0, size_bytes, RANGE_BYTES):
        piece = read(start, min(RANGE_BYTES, size_bytes - start))
        if not piece:
            return None
        whole.write(piece)
    return whole.getvalue()
