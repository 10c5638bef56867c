"""PostgreSQL answers, and does not do what foreman needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.chaos.row import Fault, Promise, Row, Scene

PART = "database"
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = %s AND pid <> pg_backend_pid()"
)


@contextmanager
def read_only(scene: Scene) -> Iterator[None]:
    """Every new transaction may only read, as on a standby after a failover."""
    _set(scene, "ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        yield
    finally:
        _set(scene, "ALTER SYSTEM RESET default_transaction_read_only")


@contextmanager
def full(scene: Scene) -> Iterator[None]:
    """All connections are taken; foreman loses those that it has."""
    taken: list[psycopg.Connection[object]] = []
    try:
        _take_all(scene, taken)
        taken[0].execute(TERMINATE, [scene.ground.database])
        for _ in range(10):  # foreman's processes take some of those that became free
            time.sleep(0.1)
            _take_all(scene, taken)
        yield
    finally:
        for connection in taken:
            connection.close()


@contextmanager
def locked(scene: Scene) -> Iterator[None]:
    """Somebody holds the rows of all open jobs, as a long transaction of an operator does."""
    with scene.ground.connect(scene.ground.database) as connection, connection.transaction():
        connection.execute("SELECT id FROM jobs WHERE ended_at IS NULL FOR UPDATE")
        yield


def terminated(times: int) -> Fault:
    """All backends of foreman are ended, again and again."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        with scene.ground.connect() as connection:
            for _ in range(times):
                connection.execute(TERMINATE, [scene.ground.database])
                time.sleep(0.5)
        yield

    return fault


def _take_all(scene: Scene, taken: list[psycopg.Connection[object]]) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            taken.append(scene.ground.connect())


def _set(scene: Scene, statement: str) -> None:
    with scene.ground.connect() as connection:
        connection.execute(statement.encode())
        connection.execute("SELECT pg_reload_conf()")


_AWAY = "503 with `Retry-After` for new requests, never 500; no client is cancelled"
DATABASE_ROWS = [
    Row(name="read-only", part=PART, does="PostgreSQL is read-only", fault=read_only,
        promise=Promise(says=_AWAY)),
    Row(name="connections-full", part=PART, does="all connections to PostgreSQL are taken",
        fault=full, promise=Promise(says=_AWAY, unready="database")),
    Row(name="backends-ended", part=PART, does="all of foreman's backends are ended, five times",
        fault=terminated(5), holds=0, promise=Promise(says=_AWAY)),
    Row(name="rows-locked", part=PART, does="the rows of all open jobs are locked",
        fault=locked, holds=1.5,
        promise=Promise(says="requests under way take longer or end with an error", accepts=True)),
]  # fmt: skip
