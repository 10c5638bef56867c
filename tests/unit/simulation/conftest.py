"""Simulated servers for the tests of the simulation: started as needed, stopped in any case."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from foreman.simulation.process import SimulationProcess

StartSimulation = Callable[..., SimulationProcess]


@pytest.fixture
def start() -> Iterator[StartSimulation]:
    """Start a server with these options of the command line."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(SimulationProcess(**options))
