"""What a database holds, asked for again and again by tests that wait for a change.

One connection serves them all: a new one costs PostgreSQL a process, ten times what a query does.
"""

import threading
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row


class Rows:
    """Queries of the database at `url`; each is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[DictRow] | None = None

    def of(self, query: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
        """The rows; the connection is made anew when the server has gone meanwhile."""
        with self._lock:
            try:
                return self._connected().execute(query, parameters).fetchall()
            except psycopg.OperationalError:
                self._end()
                return self._connected().execute(query, parameters).fetchall()

    def close(self) -> None:
        """End the connection; a later query makes another one."""
        with self._lock:
            self._end()

    def _connected(self) -> psycopg.Connection[DictRow]:
        if self._connection is None:
            # Unprepared: a test may change a table between two queries.
            self._connection = psycopg.connect(
                self._url, autocommit=True, row_factory=dict_row, prepare_threshold=None
            )
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
