"""Statements of the hot path, rendered once to the SQL that the driver gets.

SQLAlchemy spends more on preparing such a statement for each execution, and on making its result,
than PostgreSQL on running it. What it cannot do here: convert values. The driver must know their
types (`Jsonb` for JSON).
"""

from enum import Enum
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Insert, Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from foreman.store.db import driver_of


class FixedStatement:
    """A statement whose parameters are named when it is built and given when it is run."""

    def __init__(self, statement: Select[*tuple[Any, ...]] | Insert) -> None:
        compiled = statement.compile(
            dialect=PGDialect_psycopg(),  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
            compile_kwargs={"render_postcompile": True},
        )
        self._sql = str(compiled).encode()
        self._constants = {name: _plain(value) for name, value in compiled.params.items()}

    def run(self, connection: Connection, values: dict[str, Any]) -> list[Any]:
        """Its rows, as named tuples; KeyError for a parameter that the statement does not have."""
        with driver_of(connection) as driver, driver.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute(self._sql, self._given(values))
            return cursor.fetchall() if cursor.description else []

    def read_value(self, connection: Connection, values: dict[str, Any]) -> Any:
        """The first column of the first row, which travels in binary; None for no row."""
        with driver_of(connection) as driver, driver.cursor(binary=True) as cursor:
            row = cursor.execute(self._sql, self._given(values)).fetchone()
        return row[0] if row else None

    def _given(self, values: dict[str, Any]) -> dict[str, Any]:
        if unknown := values.keys() - self._constants:
            raise KeyError(*unknown)
        return self._constants | values


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
