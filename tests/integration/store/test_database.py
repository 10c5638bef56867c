"""The database as it fails: every wait has a limit, every failure has one name."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from foreman.embedded.probe import free_port
from foreman.errors import DatabaseUnavailable
from foreman.store.db import (
    CONNECT_LIMIT_S,
    IDLE_LIMIT_MS,
    POOL_LIMIT_S,
    STATEMENT_LIMIT_S,
    Database,
)
from tests.integration.store.ground import Store, race

SLACK_S = 3.0


@contextmanager
def lasts_at_most(limit_s: float) -> Iterator[None]:
    began_at = time.monotonic()
    yield
    assert time.monotonic() - began_at < limit_s + SLACK_S


def database_at(port: int) -> Database:
    return Database(f"postgresql+psycopg://nobody:secret@127.0.0.1:{port}/none", pool_size=1)


def in_statement(database: Database) -> None:
    with database.statement() as connection:
        connection.execute(text("SELECT 1"))


def in_transaction(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("SELECT 1"))


WAYS: list[Callable[[Database], None]] = [Database.check, in_statement, in_transaction]


@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_server_is_an_unavailable_database(way: Callable[[Database], None]) -> None:
    database = database_at(free_port())

    with lasts_at_most(1), pytest.raises(DatabaseUnavailable, match="server busy"):
        way(database)

    database.close()


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = database_at(silent.getsockname()[1])

        with lasts_at_most(CONNECT_LIMIT_S), pytest.raises(DatabaseUnavailable):
            database.check()

        database.close()


def test_a_pool_without_a_free_connection_is_given_up_in_time(database: Database) -> None:
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(database.transaction())
        with lasts_at_most(POOL_LIMIT_S), pytest.raises(DatabaseUnavailable):
            database.check()

    database.check()


def test_a_statement_that_takes_too_long_is_given_up(database: Database) -> None:
    def take_too_long() -> None:
        with database.transaction() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 50"))
            connection.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(DatabaseUnavailable):
        take_too_long()

    database.check()


@pytest.mark.parametrize(
    ("name", "limit_ms"),
    [
        ("statement_timeout", STATEMENT_LIMIT_S * 1000),
        ("idle_in_transaction_session_timeout", IDLE_LIMIT_MS),
    ],
)
def test_every_session_has_its_limits(store: Store, name: str, limit_ms: float) -> None:
    (row,) = store.sql(f"SELECT setting FROM pg_settings WHERE name = '{name}'")

    assert int(row["setting"]) == limit_ms


def test_times_are_read_in_utc(store: Store) -> None:
    assert store.sql("SHOW timezone") == [{"TimeZone": "UTC"}]


def test_a_connection_that_the_server_ended_is_replaced(store: Store) -> None:
    # With a time limit it returns when they are gone, not when they have been told to go.
    others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
    race(*[store.database.check] * 4)
    name = store.sql("SELECT current_database() AS name")[0]["name"]
    store.sql(f"{others} AND pid <> pg_backend_pid()", name=name)

    race(*[store.database.check] * 4)


def test_a_connection_that_ends_in_a_transaction_is_an_unavailable_database(
    database: Database,
) -> None:
    def lose_the_connection() -> None:
        with database.transaction() as connection, database.statement() as other:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        lose_the_connection()

    database.check()


def test_a_statement_that_is_wrong_stays_visible_as_a_defect(database: Database) -> None:
    with pytest.raises(ProgrammingError), database.statement() as connection:
        connection.execute(text("SELECT nonsense"))


def test_a_row_that_breaks_a_rule_stays_visible_as_a_defect(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(text("INSERT INTO events VALUES (gen_random_uuid(), 1, 'x', 0)"))


def test_a_transaction_holds_together_or_not_at_all(store: Store) -> None:
    def fail_midway() -> None:
        with store.database.transaction() as connection:
            connection.execute(text("INSERT INTO targets (name, url, slots) VALUES ('a', 'u', 1)"))
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()

    assert store.sql("SELECT name FROM targets") == []
