"""Which version's tables the database has."""

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from foreman.store.db import CONNECT_LIMIT_S, tls_options

# The newest of `migrations/versions`; their names begin with four digits, so they compare as text.
REVISION = "0008"


def found_revision(url: str) -> str | None:
    """The revision of the database's tables, "" without any; None when it does not answer."""
    limits = {"connect_timeout": CONNECT_LIMIT_S, **tls_options(url)}
    try:
        with create_engine(url, poolclass=NullPool, connect_args=limits).connect() as connection:
            return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""
    except OperationalError:
        return None
    except ProgrammingError as exc:
        if not isinstance(exc.orig, psycopg.errors.UndefinedTable):
            raise
        return ""
