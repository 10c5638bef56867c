"""A whole foreman whose connections to broker and database fall silent, one after the other."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url

from tests.client import Background, chat
from tests.fakes.proxy import Proxy, proxy_before
from tests.integration.conftest import NewOllama
from tests.stack import Stack, wait_for

pytestmark = pytest.mark.timeout(600)

# All limits together, on a busy machine: before there were any, it was for good.
RECOVERS_S = 90.0


@pytest.fixture
def broker(broker_url: str) -> Iterator[Proxy]:
    with proxy_before(urlsplit(broker_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def database(database_url: str) -> Iterator[Proxy]:
    asked = make_url(database_url).query
    with proxy_before(f"{asked['host']}/.s.PGSQL.{asked['port']}") as proxy:
        yield proxy


@pytest.fixture
def stack(
    broker_url: str, database_url: str, broker: Proxy, database: Proxy, new_ollama: NewOllama
) -> Iterator[Stack]:
    port = str(urlsplit(broker_url).port)
    url = make_url(database_url).set(host="127.0.0.1", port=database.port, query={})
    ollama = new_ollama(tokens_per_s=200)
    with ExitStack() as opened:
        yield opened.enter_context(
            Stack(
                database_url=url.render_as_string(hide_password=False),
                broker_url=broker_url.replace(port, str(broker.port)),
                targets=f"gpu1={ollama.url}?slots=2&residents=1",
            )
        )


def answers(stack: Stack) -> bool:
    return stack.post("/api/chat", chat(stream=False), timeout_s=RECOVERS_S).status == 200


def test_connections_that_fall_silent_are_made_anew_in_all_processes(
    stack: Stack, broker: Proxy, database: Proxy
) -> None:
    assert answers(stack)

    for proxy in (broker, database):
        proxy.silence()
        wait_for(lambda: answers(stack), RECOVERS_S, "requests are answered again")
        wait_for(stack.is_ready, RECOVERS_S, "it is ready again")

    database.silence()
    broker.silence()
    wait_for(lambda: answers(stack) and stack.is_ready(), RECOVERS_S, "both at once")


def test_clients_wait_through_a_time_without_the_database(stack: Stack, database: Proxy) -> None:
    assert answers(stack)
    worker = stack.processes["worker1"]
    worker.signal(signal.SIGSTOP)
    waiting = [Background(stack.url, body=chat(stream=False)) for _ in range(3)]
    wait_for(lambda: len(stack.jobs()) == 4)

    database.refuse(True)
    worker.signal(signal.SIGCONT)
    time.sleep(10)  # three leases: nobody can be heard of
    database.refuse(False)

    assert [each.result(RECOVERS_S)[0] for each in waiting] == [200] * 3
