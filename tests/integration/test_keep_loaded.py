"""FOREMAN_KEEP_LOADED: the runs of one worker over a real database and a simulated target."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast
from uuid import UUID

import pytest

from foreman.adapters.channel import Outgoing, Senders
from foreman.config import database_url as as_settings_read_it
from foreman.config import from_env
from foreman.core.frames import FrameKind, Head, decode_head
from foreman.runtime import WorkerRuntime
from foreman.services.run import Runner, nothing_more
from foreman.simulation.process import SimulationProcess
from foreman.store.db import Database
from tests.client import chat
from tests.integration.conftest import NewOllama
from tests.integration.store.ground import Store

LAST_OF_THREE: list[dict[str, Any]] = [{"keep_alive": 0}, {"keep_alive": "0s"}, {"keep_alive": 0}]
QUEUE = "model.chain-a%3Alatest"


def body(more: dict[str, Any]) -> bytes:
    return json.dumps(chat(options={"num_predict": 1}) | more).encode()


class Heads(Senders):
    """In the place of the way to a web process: keeps the heads of answers."""

    def __init__(self) -> None:
        self.heads: list[Head] = []

    def open(self, web_id: UUID, job_id: UUID, fence: int) -> Outgoing:
        return cast(Outgoing, self)

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        if kind is FrameKind.HEAD:
            self.heads.append(decode_head(payload))

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def changes(self) -> list[str | None]:
        return [dict(head.headers).get("X-Foreman-Changed") for head in self.heads]


class OneWorker:
    """Runs the jobs that it is given, one after the other."""

    def __init__(self, store: Store, url: str, ollama: SimulationProcess, *, is_on: bool) -> None:
        environ = {
            "DATABASE_URL": url,
            "FOREMAN_BROKER_URL": "redis://nobody:1/0",
            "FOREMAN_TARGETS": f"gpu={ollama.url}",
            "FOREMAN_KEEP_LOADED": "1" if is_on else "0",
        }
        self.store = store
        self.runtime = WorkerRuntime(from_env(environ), worker="worker1")
        self.runtime.senders = self.sent = Heads()

    def run(
        self, *asked: dict[str, Any], has_more: Callable[[str], bool] | None = None,
        endpoint: str = "/api/chat",
    ) -> list[str | None]:  # fmt: skip
        """Queue a job for each, then run them; what X-Foreman-Changed said of each."""
        web_id = self.store.web()
        jobs = [
            self.store.queued(endpoint=endpoint, queue=QUEUE, web_id=web_id, body=body(each))
            for each in asked
        ]
        runner = Runner(self.runtime, has_more or self._has_queued)
        for job in jobs:
            runner.run(job.id, target="gpu", on_claim=lambda: None)
        return self.sent.changes

    def _has_queued(self, queue: str) -> bool:
        query = "SELECT 1 FROM jobs WHERE queue = :queue AND state = 'queued'"
        return bool(self.store.sql(query, queue=queue))


NewWorker = Callable[..., OneWorker]


@pytest.fixture
def ollama(new_ollama: NewOllama) -> SimulationProcess:
    return new_ollama(tokens_per_s=0, load_s=0.01)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    database = Database(as_settings_read_it(database_url), pool_size=2)
    yield Store(database)
    database.close()


@pytest.fixture
def new_worker(
    store: Store, database_url: str, ollama: SimulationProcess, cleanup: ExitStack
) -> NewWorker:
    def make(*, is_on: bool = True) -> OneWorker:
        worker = OneWorker(store, database_url, ollama, is_on=is_on)
        cleanup.callback(worker.runtime.close)
        return worker

    return make


def test_only_the_last_of_several_unloads_the_model(
    new_worker: NewWorker, ollama: SimulationProcess
) -> None:
    changes = new_worker().run(*LAST_OF_THREE)

    assert changes == ["keep_alive", "keep_alive", None]
    assert [len(ollama.log("load")), len(ollama.log("unload"))] == [1, 1]


def test_switched_off_each_of_them_unloads_it(
    new_worker: NewWorker, ollama: SimulationProcess
) -> None:
    changes = new_worker(is_on=False).run(*LAST_OF_THREE)

    assert changes == [None] * 3
    assert [len(ollama.log("load")), len(ollama.log("unload"))] == [3, 3]


def test_a_worker_that_is_told_of_no_more_work_changes_nothing(
    new_worker: NewWorker, ollama: SimulationProcess
) -> None:
    assert new_worker().run(*LAST_OF_THREE, has_more=nothing_more) == [None] * 3


def test_the_jobs_own_queue_is_asked_about_and_only_when_it_matters(new_worker: NewWorker) -> None:
    asked: list[str] = []

    def has_more(queue: str) -> bool:
        asked.append(queue)
        return True

    changes = new_worker().run({}, {"keep_alive": "5m"}, {"keep_alive": 0}, has_more=has_more)

    assert changes == [None, None, "keep_alive"]
    assert asked == [QUEUE]


def test_what_is_stored_is_what_the_client_sent(new_worker: NewWorker, store: Store) -> None:
    new_worker().run(*LAST_OF_THREE)

    rows = store.sql("SELECT body FROM payloads ORDER BY job_id")
    kept = [{"keep_alive": json.loads(bytes(row["body"]))["keep_alive"]} for row in rows]
    assert kept == LAST_OF_THREE


def test_below_v1_nothing_is_changed(new_worker: NewWorker) -> None:
    changes = new_worker().run(*LAST_OF_THREE, endpoint="/v1/chat/completions")

    assert changes == [None] * 3
