"""Run migrations under an advisory lock and with limits on locks and statements.

Several release processes may start at once: one migrates, the others wait and find nothing to do.
A migration that cannot get its table lock within `LOCK_LIMIT` fails instead of stopping the traffic
that queues behind it.
"""

import os

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from foreman.errors import DatabaseUnavailable, SettingsError
from foreman.parsing import database_url
from foreman.store.db import connect_error, tls_options
from foreman.store.hook_models import Hook

# Any number that no other program uses on this database.
ADVISORY_LOCK = 0x666F72656D616E
LOCK_LIMIT = "10s"
STATEMENT_LIMIT = "10min"


def _url() -> str:
    text = os.environ.get("DATABASE_URL")
    if not text:
        raise SettingsError("DATABASE_URL is not set")
    try:
        return database_url(text)
    except ValueError as exc:
        raise SettingsError(f"DATABASE_URL is wrong: {exc}") from exc


def _connected(engine: Engine, url: str) -> Connection:
    try:
        return engine.connect()
    except OperationalError as exc:
        raise DatabaseUnavailable(connect_error(exc, url)) from exc


def run() -> None:
    url = _url()
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"connect_timeout": 10, **tls_options(url)}
    )
    with _connected(engine, url) as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
        connection.execute(text(f"SET lock_timeout = '{LOCK_LIMIT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_LIMIT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Hook.metadata,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
