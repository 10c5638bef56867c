"""Which errors of PostgreSQL mean that it is away, and which that foreman is wrong."""

import logging

import psycopg
import pytest
from psycopg import errors

from foreman.errors import DatabaseUnavailable, StatementTooSlow
from foreman.store.bounded import SilentConnection
from foreman.store.failures import Reports, failure_of

AWAY = [
    "08000", "08001", "08003", "08004", "08006", "08P01",  # connections
    "25006", "25P03",  # read-only; idle in a transaction
    "28000", "28P01", "3D000",  # role, password, database
    "40001", "40003", "40P01",  # conflicts
    "42501", "42P01",  # rights withdrawn; not migrated
    "53000", "53100", "53200", "53300", "53400",  # disk, memory, connections
    "55000", "55006", "55P03",  # locks
    "57000", "57P01", "57P02", "57P03", "57P04", "57P05",  # shutting down, starting up
    "58000", "58030",  # its system
]  # fmt: skip
DEFECTS = ["22P02", "23505", "23503", "25P02", "42601", "42703", "54000", "P0001", "XX000"]


@pytest.mark.parametrize("state", AWAY)
def test_a_database_that_is_away_for_now_is_unavailable(state: str) -> None:
    assert failure_of(errors.lookup(state)()) is DatabaseUnavailable


@pytest.mark.parametrize("state", DEFECTS)
def test_a_statement_that_is_wrong_is_a_defect(state: str) -> None:
    assert failure_of(errors.lookup(state)()) is None


def test_a_statement_that_took_too_long_is_known_as_that() -> None:
    assert failure_of(errors.QueryCanceled()) is StatementTooSlow


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (psycopg.OperationalError("connection refused"), DatabaseUnavailable),
        (psycopg.InterfaceError("the connection is closed"), DatabaseUnavailable),
        (SilentConnection("silent"), DatabaseUnavailable),
        (psycopg.ProgrammingError("wrong use of the driver"), None),
    ],
)
def test_errors_that_never_came_from_the_server(
    error: psycopg.Error, failure: type[DatabaseUnavailable] | None
) -> None:
    assert failure_of(error) is failure


def test_each_kind_of_trouble_is_logged_once_in_a_while_with_its_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports = Reports()
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            reports.add(errors.DiskFull("could not extend file"))
            reports.add(errors.ReadOnlySqlTransaction("cannot execute INSERT"))
            reports.add(psycopg.OperationalError("connection refused\nis the server running?"))

    logged = [(each.levelname, each.sqlstate, each.error) for each in caplog.records]  # type: ignore[attr-defined]  # extras
    assert logged == [
        ("WARNING", "53100", "could not extend file"),
        ("WARNING", "25006", "cannot execute INSERT"),
        ("WARNING", None, "connection refused"),
    ]
