"""A database, a broker, and what the relay has of both: no process runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from foreman.config import from_env
from foreman.runtime import RelayRuntime
from tests.factories import environ
from tests.integration.old_queues.ground import Ground


@contextmanager
def opened(database_url: str, broker_url: str) -> Iterator[Ground]:
    given = environ(DATABASE_URL=database_url, FOREMAN_BROKER_URL=broker_url)
    runtime = RelayRuntime(from_env(given))
    with runtime.connect() as connection:
        yield Ground(runtime, connection)
    runtime.close()


@pytest.fixture
def ground(database_url: str, broker_url: str) -> Iterator[Ground]:
    with opened(database_url, broker_url) as ground:
        yield ground


@pytest.fixture
def rabbit(database_url: str, new_broker_url: Callable[[str], str]) -> Iterator[Ground]:
    """The same on RabbitMQ alone: on Redis a queue without messages does not exist."""
    with opened(database_url, new_broker_url("rabbitmq")) as ground:
        yield ground
