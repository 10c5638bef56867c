"""A foreman whose worker decides by a script: see `scripted_app`."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import pools

from foreman.adapters.broker import make_celery
from foreman.config import from_env
from foreman.simulation.process import SimulationProcess
from tests.servers import PostgresServer
from tests.stack import Process, Stack

QUEUES = "model.chain-a%3Alatest,model.chain-a%3Alatest~batch,model.chain-b%3Alatest"


class ScriptedStack(Stack):
    """Its workers are those of `scripted_app`."""

    app = "tests.integration.controls.scripted_app"

    def start_worker(self, name: str, *more: str) -> Process:
        options = ["-P", "threads", "-E", "--without-gossip", "--without-mingle", *more]
        return self.start(
            name, "-m", "celery", "-A", self.app, "worker", "-n", f"{name}@test", *options
        )

    def has_logged(self, text: str) -> bool:
        """Whether the worker has said so."""
        return text in self.processes["worker1"].log_text()

    def control(self, command: str, **arguments: Any) -> Any:
        """What the worker answers to a command of Celery's remote control."""
        pools.reset()  # a test may have cut the connections that are kept
        app = make_celery(from_env(self.env))
        answers = app.control.broadcast(
            command, arguments, destination=["worker1@test"], reply=True, timeout=20, limit=1
        )
        app.close()
        assert answers, f"no answer to {command}"
        return answers[0]["worker1@test"]


@pytest.fixture(scope="module")
def ollama() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, tokens_per_s=200, load_s=0.01, slots=4) as process:
        yield process


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def broker_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def stack(
    broker_kind: str,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    ollama: SimulationProcess,
) -> Iterator[ScriptedStack]:
    """One for the tests of a module, which leave it as they found it."""
    made = ScriptedStack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url(broker_kind),
        targets=f"gpu={ollama.url}?slots=4",
        settings={"TEST_QUEUES": QUEUES},
    )
    with made:
        yield made
