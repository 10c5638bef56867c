"""Jobs with hooks in a real database, real receivers, and pumps that are turned by hand."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from foreman.adapters.webhook import WebhookClient
from foreman.parsing import database_url as as_settings_read_it
from foreman.services.deliver import LEASE_S, Pump
from foreman.store.db import Database
from foreman.store.models import Base
from tests.fakes.receiver import Answer, Receiver, ok
from tests.integration.store.ground import Store
from tests.integration.store.ledger import Ledger, settings
from tests.servers import PostgresServer

NewReceiver = Callable[..., Receiver]
NewPump = Callable[..., "HandPump"]


class HandPump:
    """A pump that goes on only while a test waits for something."""

    def __init__(
        self,
        database: Database,
        *,
        exchange_s: float = 5.0,
        lease_s: float = LEASE_S,
        **environ: str,
    ) -> None:
        chosen = settings(**{"FOREMAN_WEBHOOK_ALLOW": "127.0.0.0/8"} | environ)
        client = WebhookClient(
            allow=chosen.webhook_allow, ports=chosen.webhook_ports, exchange_s=exchange_s
        )
        self.pump = Pump(database, client, chosen, lease_s=lease_s)

    def until(self, condition: Callable[[], object], limit_s: float = 10.0) -> None:
        """Turn until something is true; AssertionError when it does not become so."""
        give_up_at = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < give_up_at, f"not within {limit_s:g} s"
            self.pump.turn(idle_s=0.01)

    def until_still(self, limit_s: float = 10.0) -> None:
        """Turn until nothing that is due is left and nothing is under way."""
        while True:
            self.until(lambda: self.pump.turn(idle_s=0.01) == 0, limit_s)
            if self.pump.turn(idle_s=0.0) == 0:
                return


@pytest.fixture(scope="module")
def shared_database(postgres: PostgresServer, template_url: str) -> Iterator[Database]:
    url = postgres.create_database(template_url)
    database = Database(as_settings_read_it(url), pool_size=4)
    yield database
    database.close()


@pytest.fixture
def ledger(shared_database: Database) -> Ledger:
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with shared_database.statement() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    return Ledger(Store(shared_database))


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_receiver(cleanup: ExitStack) -> NewReceiver:
    def make(answer: Answer = ok) -> Receiver:
        return cleanup.enter_context(Receiver(answer))

    return make


@pytest.fixture
def new_pump(ledger: Ledger, cleanup: ExitStack) -> NewPump:
    def make(*, exchange_s: float = 5.0, lease_s: float = LEASE_S, **environ: str) -> HandPump:
        made = HandPump(ledger.store.database, exchange_s=exchange_s, lease_s=lease_s, **environ)
        cleanup.callback(made.pump.close)
        return made

    return make
