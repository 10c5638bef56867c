"""The database: an engine with bounds, and the two ways to use it.

Every wait here has a limit: to connect, to get a connection of the pool, to run a statement, to sit
in a transaction. Errors of the driver become `DatabaseUnavailable` here and nowhere else; which
ones do is what `failures` says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.pq import Conninfo
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError, TimeoutError
from sqlalchemy.pool import NullPool

from foreman.errors import DatabaseUnavailable
from foreman.store.bounded import BoundedConnection, SilentConnection
from foreman.store.failures import Reports, failure_of

CONNECT_LIMIT_S = 5
POOL_LIMIT_S = 5
# The server ends a statement after this; a little later this process closes the connection.
STATEMENT_LIMIT_S = 15.0
IDLE_LIMIT_MS = 30_000  # in a transaction
# A peer that vanishes without a word is noticed within some 15 s, whether we wait for its answer or
# for it to take our bytes: TCP alone would go on for minutes, and the whole pool with it.
_PEER_GONE = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,  # milliseconds
}

# Where nobody listens on the line to the server.
LOCAL_NAMES = ("localhost", "")


def tls_options(url: str) -> dict[str, str]:
    """TLS for a server that is not on this machine, unless the URL says otherwise.

    The options of libpq's environment (PGHOST, PGSSLMODE, a service file) count as the URL's own.
    """
    parts = make_url(url)
    libpq = {each.keyword.decode(): each for each in Conninfo.get_defaults()}
    default_mode = libpq["sslmode"]
    if "sslmode" in parts.query or default_mode.val != default_mode.compiled:
        return {}
    given = parts.query.get("host") or parts.host or (libpq["host"].val or b"").decode()
    hosts = [given] if isinstance(given, str) else given
    is_local = all(_is_local(host) for each in hosts for host in each.split(","))
    return {} if is_local else {"sslmode": "require"}


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host in LOCAL_NAMES:  # a unix socket, its default
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(
        self, url: str, *, pool_size: int, statement_limit_s: float = STATEMENT_LIMIT_S
    ) -> None:
        self._statement_limit_s = statement_limit_s
        self._reports = Reports()
        self._engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=POOL_LIMIT_S,
            # The connection used last is the one with the statements prepared and the pages warm.
            pool_use_lifo=True,
            pool_recycle=1800,
            hide_parameters=True,  # they are clients' prompts: no log may quote them
            connect_args={
                "connect_timeout": CONNECT_LIMIT_S,
                "options": _options(statement_limit_s),
                **_PEER_GONE,
                **tls_options(url),
            },
        )
        event.listen(self._engine, "do_connect", self._connect)
        event.listen(self._engine, "checkout", _check)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Several statements that hold together or not at all."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """One statement that is its own transaction: a third of the round trips."""
        with self._translated(), self._autocommit.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the database answers."""
        with self.statement() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()

    def _connect(
        self, dialect: object, record: object, args: list[Any], options: dict[str, Any]
    ) -> BoundedConnection:
        """In place of the driver's own class of connections."""
        connection = BoundedConnection.connect(*args, **options)
        connection.statement_limit_s = self._statement_limit_s
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as exc:
            self._reports.add(exc)
            raise DatabaseUnavailable from exc
        except (DBAPIError, psycopg.Error) as exc:
            # The driver's own error, with SQLAlchemy's around it unless it was used directly.
            original = exc.orig if isinstance(exc, DBAPIError) else exc
            failure = failure_of(original) if isinstance(original, psycopg.Error) else None
            if original is None or failure is None:
                raise
            self._reports.add(original)
            if isinstance(original, SilentConnection):
                self._engine.dispose()  # those that are idle now are as old, and as silent
            raise failure from exc


def _options(statement_limit_s: float) -> str:
    """What every session begins with."""
    return (
        f"-c statement_timeout={round(statement_limit_s * 1000)}"
        f" -c idle_in_transaction_session_timeout={IDLE_LIMIT_MS}"
        " -c timezone=UTC"
    )


@contextmanager
def driver_of(connection: Connection) -> Iterator[BoundedConnection]:
    """The driver's own connection, for what SQLAlchemy cannot do: COPY, results in binary."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, BoundedConnection)  # `Database` makes no other
    try:
        yield driver
    except psycopg.Error:
        if driver.closed:
            connection.invalidate()  # SQLAlchemy sees no error that it has not raised itself
        raise


def connect_problem(url: str) -> str | None:
    """Why the database cannot be connected to, for its operator; None when it can."""
    limits = {"connect_timeout": CONNECT_LIMIT_S, **tls_options(url)}
    try:
        create_engine(url, poolclass=NullPool, connect_args=limits).connect().close()
    except OperationalError as exc:
        return connect_error(exc, url)
    return None


def connect_error(error: OperationalError, url: str) -> str:
    """Why no connection came about, by the name of the variable; no password is in it."""
    reason = f"DATABASE_URL: {error.orig}"
    if tls_options(url):
        reason += "; a server on another machine must speak TLS unless the URL has ?sslmode=disable"
    return reason


def _check(connection: psycopg.Connection, *_: object) -> None:
    """Let the pool replace a connection that the server has closed.

    It looks at what has arrived and sends nothing: `pool_pre_ping` would cost every request three
    round trips.
    """
    try:
        connection.pgconn.consume_input()  # may be the server's farewell
        connection.pgconn.consume_input()  # then this is the end
    except psycopg.OperationalError as exc:
        raise DisconnectionError from exc
