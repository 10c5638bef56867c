"""The running foremen of the acceptance tests, and what the tests of clients see of them.

One broker: a client speaks to the web process, whose channel the integration tests prove on both.
A stack ends with this package, as it takes a tenth of a core while nobody uses it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from foreman.simulation.process import SimulationProcess
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.tap import Tap
from tests.acceptance.clients.witness import SLOTS, Witness
from tests.servers import PostgresServer
from tests.stack import Stack


@pytest.fixture(scope="package")
def shared_stack(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[Stack]:
    """One running foreman, for tests that leave it as they found it."""
    stack = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}?slots={SLOTS}",
        settings={"FOREMAN_ALLOW_ADMIN": "1"},
    )
    with stack:
        yield stack


@pytest.fixture
def witness(shared_stack: Stack, simulation: SimulationProcess) -> Iterator[Witness]:
    """The shared foreman, and what it and its target see in this test."""
    with _watching(shared_stack, simulation) as witness:
        yield witness


@contextmanager
def _watching(stack: Stack, simulation: SimulationProcess) -> Iterator[Witness]:
    simulation.clear()
    witness = Witness(stack, simulation)
    yield witness
    simulation.clear()
    witness.wait_until_idle()


@pytest.fixture(scope="package")
def keepalive_stack(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[Stack]:
    """A foreman that soon sends keep-alives."""
    stack = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}?slots={SLOTS}",
        settings={
            "FOREMAN_KEEPALIVE": "always",
            "FOREMAN_KEEPALIVE_AFTER": "0.3",
            "FOREMAN_KEEPALIVE_EVERY": "0.2",
        },
    )
    with stack:
        yield stack


@pytest.fixture
def long_wait(keepalive_stack: Stack, simulation: SimulationProcess) -> Iterator[LongWait]:
    """Keep-alives before whatever a client reads."""
    with _watching(keepalive_stack, simulation) as witness, Tap(keepalive_stack.port) as tap:
        yield LongWait(witness, tap)
