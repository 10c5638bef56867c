"""The store over a real database, and what its rows say.

A module's tests share a database that is emptied before each of them: a copy of the template a
test is ten times as long in the making, and longer still in the server's last checkpoint. Who
changes more than rows asks for `database`, which is fresh.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from foreman.parsing import database_url as as_settings_read_it
from foreman.store.db import Database
from foreman.store.models import Base
from tests.integration.store.ground import Store
from tests.servers import PostgresServer


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(as_settings_read_it(database_url), pool_size=4)
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared_database(postgres: PostgresServer, template_url: str) -> Iterator[Database]:
    url = postgres.create_database(template_url)
    database = Database(as_settings_read_it(url), pool_size=4)
    yield database
    database.close()


@pytest.fixture
def store(shared_database: Database) -> Store:
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with shared_database.statement() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    return Store(shared_database)
