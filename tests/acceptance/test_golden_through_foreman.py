"""Foreman in front of an Ollama gives what the Ollama itself gave when it was recorded.

Streams alone say one thing more: a proxy may not transform them.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from foreman.simulation.process import SimulationProcess
from tests.golden_contract import EXCHANGES, Exchange, assert_same, send
from tests.servers import PostgresServer
from tests.stack import Stack

STREAMS = ("application/x-ndjson", "text/event-stream")


def through_foreman(exchange: Exchange) -> Exchange:
    """The recorded exchange, with what foreman adds to the headers of a stream."""
    headers = exchange.answer.headers
    if headers.get("content-type", "").partition(";")[0] not in STREAMS:
        return exchange
    directives = [*filter(None, [headers.get("cache-control")]), "no-transform"]
    added = {**headers, "cache-control": ", ".join(directives)}
    return replace(exchange, answer=replace(exchange.answer, headers=added))


@pytest.fixture(scope="module")
def golden_stack(
    postgres: PostgresServer, template_url: str, new_broker_url: Callable[[str], str]
) -> Iterator[Stack]:
    with (
        SimulationProcess(tokens_per_s=0, load_s=0.05) as simulation,
        Stack(
            database_url=postgres.create_database(template_url),
            broker_url=new_broker_url("redis"),
            targets=f"gpu={simulation.url}?slots=4",
            settings={"FOREMAN_ALLOW_ADMIN": "1"},
        ) as stack,
    ):
        # The recording began with this model loaded.
        assert stack.post("/api/generate", {"model": "chain-a"}).status == 200
        yield stack


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each.name)
def test_an_exchange_is_the_recorded_one(exchange: Exchange, golden_stack: Stack) -> None:
    assert_same(through_foreman(exchange), send(golden_stack.url, exchange))
