"""A connection of the driver's whose every wait ends: for an answer, or for room to send.

PostgreSQL's own limit of a statement is of no use when its answer is lost: a proxy or a failover
may acknowledge what we send, for TCP, and never bring anything back. Such a connection is closed.
"""

import time
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

R = TypeVar("R")

# What the server has on top of its own limit of a statement, to report that it was reached.
CLIENT_SLACK_S = 2.0
# How often the driver looks up from a wait, which costs nothing while answers come.
_LOOK_EVERY_S = 0.1


class SilentConnection(psycopg.OperationalError):
    """The server did not answer within its own limit: the connection is closed."""


class BoundedConnection(psycopg.Connection[TupleRow]):
    """Gives up, with SilentConnection, what has had `statement_limit_s` and a little more."""

    statement_limit_s: float = 15.0

    def wait(
        self, gen: PQGen[R], interval: float = _LOOK_EVERY_S, timeout: float | None = None
    ) -> R:
        """As the driver's own, with a limit where it has none."""
        if timeout is not None:
            return super().wait(gen, interval=interval, timeout=timeout)
        limit_s = self.statement_limit_s + CLIENT_SLACK_S
        give_up_at = time.monotonic() + limit_s
        try:
            return super().wait(gen, interval=interval, timeout=limit_s)
        except psycopg.OperationalError as exc:
            if time.monotonic() < give_up_at:
                raise
            self.pgconn.finish()
            raise SilentConnection(f"the server was silent for {limit_s:g} s") from exc
