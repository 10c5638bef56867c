"""The web process's application without its server, over a real database and a real broker.

No worker runs: a test moves jobs as a worker would, by the store's own verbs.
"""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from foreman.api import create_app
from foreman.config import from_env
from foreman.runtime import WebRuntime
from foreman.simulation.process import SimulationProcess
from foreman.store.models import Base
from tests.integration.api.ground import Caller
from tests.integration.store.ground import Store
from tests.servers import PostgresServer
from tests.stack import wait_for


@pytest.fixture(scope="module")
def runtime(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[WebRuntime]:
    environ = {
        "DATABASE_URL": postgres.create_database(template_url),
        "FOREMAN_BROKER_URL": new_broker_url("redis"),
        "FOREMAN_TARGETS": f"gpu={simulation.url}?slots=4",
        "FOREMAN_MAX_BODY": "1MiB",
    }
    runtime = WebRuntime(from_env(environ))
    runtime.catalog.refresh()
    wait_for(lambda: runtime.inbox.is_consuming, 20, "the reply queue is there")
    yield runtime
    runtime.close()


@pytest.fixture
def store(runtime: WebRuntime) -> Store:
    """The rows behind the application, none at first."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with runtime.database.statement() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    return Store(runtime.database)


@pytest.fixture
def caller(runtime: WebRuntime, store: Store) -> Caller:
    """Somebody who calls foreman's own routes."""
    return Caller(create_app(runtime))
