"""Fixtures: real servers once a session, a fresh database and a fresh broker space a test.

PostgreSQL and Valkey come from wheels. RabbitMQ is the machine's: where it is missing, its tests
are skipped by name, and fail when CI=true.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests import guard
from tests.servers import PostgresServer, RabbitServer, ValkeyServer, rabbitmq_missing, started
from tests.stack import ROOT, Stack

_numbers = itertools.count(1)
guard.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of the failed test's stacks logged."""
    report = yield
    if report.failed:
        for stack in Stack.running():
            report.sections.append((f"stack on port {stack.port}", stack.log_text()))
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template_url(postgres: PostgresServer) -> str:
    """A migrated database that each test's own is a copy of."""
    url = postgres.create_database()
    environ = os.environ | {"DATABASE_URL": url}
    subprocess.run(
        [sys.executable, "-m", "foreman", "migrate"], cwd=ROOT, env=environ, check=True, timeout=60
    )
    return url


@pytest.fixture
def database_url(postgres: PostgresServer, template_url: str) -> str:
    return postgres.create_database(template_url)


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    server = started(ValkeyServer)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    reason = rabbitmq_missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"RabbitMQ is required in CI: {reason}")
    if reason:
        pytest.skip(reason)
    server = started(RabbitServer)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_broker_url(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes a URL of an empty broker space of a kind: "redis" or "rabbitmq"."""

    def make(kind: str) -> str:
        if kind == "redis":
            valkey: ValkeyServer = request.getfixturevalue("valkey")
            return f"redis://127.0.0.1:{valkey.port}/{next(_numbers)}"
        rabbitmq: RabbitServer = request.getfixturevalue("rabbitmq")
        return rabbitmq.new_url()

    return make


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest, new_broker_url: Callable[[str], str]) -> str:
    """A fresh broker space, once of each kind."""
    return new_broker_url(request.param)


@pytest.fixture(scope="session")
def simulation() -> Iterator[SimulationProcess]:
    """A simulated Ollama with the models of the recording and some that can do more."""
    with SimulationProcess(demo=True, tokens_per_s=200, load_s=0.1, slots=4) as process:
        yield process
