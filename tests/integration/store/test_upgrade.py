"""An upgrade from each frozen schema, with rows in every table, as a foreman left them.

`make_dump` made the dumps. None is ever edited; a new one is added with each release.
"""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.integration.store.test_migrations import migrate, rows, shape
from tests.servers import PostgresServer

DUMPS = sorted(Path(__file__).parent.glob("schema_*.sql"))
# Alembic's own row is what the upgrade changes.
TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
)


def restored(postgres: PostgresServer, dump: Path) -> str:
    url = postgres.create_database()
    with psycopg.connect(url) as connection:
        # Bytes: more than one statement, and the driver reads no placeholders in it.
        connection.execute(dump.read_bytes())
    return url


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(TABLES)]
        count = sql.SQL("SELECT count(*) FROM {}")
        found = [connection.execute(count.format(sql.Identifier(each))) for each in names]
        return {name: each.fetchall()[0][0] for name, each in zip(names, found, strict=True)}


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_database_with_rows_in_every_table_is_upgraded_and_keeps_them(
    dump: Path, postgres: PostgresServer, template_url: str
) -> None:
    url = restored(postgres, dump)
    before, jobs = counts(url), rows(url, "SELECT id, state FROM jobs")
    assert min(before.values()) > 0, before

    done = migrate(url)

    assert done.returncode == 0, done.stderr
    assert shape(url) == shape(template_url)
    assert rows(url, "SELECT id, state FROM jobs") == jobs
    assert {name: count for name, count in counts(url).items() if name in before} == before
