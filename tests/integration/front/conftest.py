"""A web process alone, in front of a simulated Ollama."""

from collections.abc import Callable, Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests.servers import PostgresServer
from tests.stack import Stack, WebAlone

NewWeb = Callable[..., WebAlone]


@pytest.fixture(scope="module")
def new_web(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> NewWeb:
    """Makes a foreman that accepts requests; the settings are variables of the environment."""

    def make(**settings: str) -> WebAlone:
        return WebAlone(
            database_url=postgres.create_database(template_url),
            broker_url=new_broker_url("redis"),
            targets=f"gpu={simulation.url}?slots=4",
            workers=0,
            settings=settings,
        )

    return make


@pytest.fixture(scope="module")
def web(new_web: NewWeb) -> Iterator[Stack]:
    with new_web(FOREMAN_HEAD_TIMEOUT="2", FOREMAN_CLIENT_TIMEOUT="5") as web:
        yield web
