"""A foreman for thousands of jobs that nobody is to run."""

from collections.abc import Callable, Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests.servers import PostgresServer
from tests.stack import WebAlone


@pytest.fixture(scope="package")
def web_alone(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[WebAlone]:
    """Web and relay, and no worker."""
    stack = WebAlone(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}",
        workers=0,
    )
    with stack:
        yield stack
