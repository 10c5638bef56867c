"""A database whose connections fall silent: TCP acknowledges everything, and no answer comes."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url, text

from foreman.errors import DatabaseUnavailable
from foreman.store.bounded import CLIENT_SLACK_S
from foreman.store.db import Database
from tests.fakes.proxy import Proxy, proxy_before

LIMIT_S = 1.0
SLACK_S = 10.0  # of a busy machine; the limits of TCP are longer


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    asked = make_url(database_url).query
    with proxy_before(f"{asked['host']}/.s.PGSQL.{asked['port']}") as proxy:
        yield proxy


@pytest.fixture
def silent(database_url: str, proxy: Proxy) -> Iterator[Database]:
    """A database behind the proxy, with two connections in its pool."""
    url = make_url(database_url).set(host="127.0.0.1", port=proxy.port, query={})
    database = Database(
        url.render_as_string(hide_password=False), pool_size=2, statement_limit_s=LIMIT_S
    )
    with database.statement() as one, database.statement() as other:
        one.execute(text("SELECT 1"))
        other.execute(text("SELECT 1"))
    yield database
    database.close()


def in_transaction(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("SELECT 1"))


@pytest.mark.parametrize("way", [Database.check, in_transaction])
def test_a_silent_connection_is_given_up_and_the_next_statement_has_a_new_one(
    silent: Database, proxy: Proxy, way: Callable[[Database], None]
) -> None:
    proxy.silence()
    began_at = time.monotonic()

    with pytest.raises(DatabaseUnavailable):
        way(silent)

    assert time.monotonic() - began_at < LIMIT_S + CLIENT_SLACK_S + SLACK_S
    way(silent)  # the other one was as old, and is gone with it


def test_a_statement_that_is_waiting_when_its_connection_falls_silent_is_given_up(
    silent: Database, proxy: Proxy
) -> None:
    failed: list[Exception] = []

    def sleep_long() -> None:
        try:
            with silent.statement() as connection:
                connection.execute(text("SELECT pg_sleep(0.8)"))
        except DatabaseUnavailable as error:
            failed.append(error)

    waiting = threading.Thread(target=sleep_long)
    waiting.start()
    time.sleep(0.2)  # it is on its way; were it not, the connection would be silent all the same
    proxy.silence()
    waiting.join(LIMIT_S + CLIENT_SLACK_S + SLACK_S)

    assert not waiting.is_alive()
    assert failed
