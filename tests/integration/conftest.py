"""A foreman of one's own for tests that break something."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.servers import Server
from tests.stack import Stack

# For a test of what does not pass through the broker, or not in a way of its own.
ON_ONE_BROKER = pytest.mark.parametrize("broker_url", ["redis"], indirect=True)

NewStack = Callable[..., Stack]
NewOllama = Callable[..., SimulationProcess]


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_ollama(cleanup: ExitStack) -> NewOllama:
    """Makes a simulated Ollama; a slow one: 20 tokens a second, 0.2 s a load."""

    def make(**options: Any) -> SimulationProcess:
        options = {"tokens_per_s": 20, "load_s": 0.2, "slots": 2} | options
        return cleanup.enter_context(SimulationProcess(**options))

    return make


@pytest.fixture
def broker_server(broker_url: str, request: pytest.FixtureRequest) -> Server:
    """The server behind `broker_url`."""
    name = "valkey" if broker_url.startswith("redis") else "rabbitmq"
    server: Server = request.getfixturevalue(name)
    return server


@pytest.fixture
def new_stack(cleanup: ExitStack, database_url: str, broker_url: str) -> NewStack:
    """Makes a foreman over simulated Ollamas, on a fresh database and broker.

    Each target holds one model at a time, so that another one needs a swap.
    """

    def make(*ollamas: SimulationProcess, slots: int = 2, **options: Any) -> Stack:
        targets = ",".join(
            f"gpu{number}={ollama.url}?slots={slots}&residents=1"
            for number, ollama in enumerate(ollamas, 1)
        )
        options = {"targets": targets} | options
        return cleanup.enter_context(
            Stack(database_url=database_url, broker_url=broker_url, **options)
        )

    return make
