"""The database: an engine with bounds, and the two ways to use it.

Every wait here has a limit: to connect, to get a connection of the pool, to run a statement, to sit
in a transaction. Errors of the driver become `DatabaseUnavailable` here and nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import psycopg
from psycopg.pq import Conninfo
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.pool import NullPool

from foreman.errors import DatabaseUnavailable, StatementTooSlow

CONNECT_LIMIT_S = 5
POOL_LIMIT_S = 5
STATEMENT_LIMIT_MS = 30_000
_OPTIONS = (
    f"-c statement_timeout={STATEMENT_LIMIT_MS}"
    f" -c idle_in_transaction_session_timeout={STATEMENT_LIMIT_MS}"
    " -c timezone=UTC"
)
# A peer that vanishes without a word is noticed within some 15 s, whether we wait for its answer or
# for it to take our bytes: TCP alone would go on for minutes, and the whole pool with it.
_PEER_GONE = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,  # milliseconds
}


# The same errors when the driver is used without SQLAlchemy.
_OF_DRIVER = (psycopg.OperationalError, psycopg.InterfaceError)

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

    def __init__(self, url: str, *, pool_size: int) -> None:
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
                "options": _OPTIONS,
                **_PEER_GONE,
                **tls_options(url),
            },
        )
        event.listen(self._engine, "checkout", _check)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Several statements that hold together or not at all."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """One statement that is its own transaction: a third of the round trips."""
        with _translated(), self._autocommit.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the database answers."""
        with self.statement() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def driver_of(connection: Connection) -> Iterator[psycopg.Connection]:
    """The driver's own connection, for what SQLAlchemy cannot do: COPY, results in binary."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # the only driver that `database_url` allows
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


@contextmanager
def _translated() -> Iterator[None]:
    # OperationalError is the driver's word for everything between "cannot connect" and "shutting
    # down"; a broken statement is another class, a defect, and stays visible as one.
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError, *_OF_DRIVER) as exc:
        if isinstance(getattr(exc, "orig", exc), psycopg.errors.QueryCanceled):
            raise StatementTooSlow from exc
        raise DatabaseUnavailable from exc
