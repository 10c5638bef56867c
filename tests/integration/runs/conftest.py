"""One foreman on Redis over one simulated Ollama, for tests that leave both as they were."""

from collections.abc import Callable, Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests.integration.runs.ground import Jobs
from tests.servers import PostgresServer
from tests.stack import Stack


@pytest.fixture(scope="package")
def shared_ollama() -> Iterator[SimulationProcess]:
    options = {"memory": "64GiB", "tokens_per_s": 400, "load_s": 0.02, "slots": 4}
    with SimulationProcess(demo=True, **options) as process:
        yield process


@pytest.fixture(scope="package")
def shared_jobs(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    shared_ollama: SimulationProcess,
) -> Iterator[Jobs]:
    stack = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={shared_ollama.url}?slots=4",
        settings={
            "FOREMAN_FIRST_BYTE": "3",
            "FOREMAN_ARTIFACT_MAX": "256KiB",
            "FOREMAN_RETENTION_EVERY": "0.5",
        },
    )
    with stack:
        jobs = Jobs(stack)
        yield jobs
        jobs.database.close()


@pytest.fixture
def ollama(shared_ollama: SimulationProcess) -> Iterator[SimulationProcess]:
    """The target, without a fault and with an empty log."""
    shared_ollama.clear()
    yield shared_ollama
    shared_ollama.clear()


@pytest.fixture
def jobs(shared_jobs: Jobs, ollama: SimulationProcess) -> Jobs:
    return shared_jobs
