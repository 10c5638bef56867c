"""Embeddings: past the queue with a model that is for them, through it with any other."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard

from foreman.simulation.process import SimulationProcess
from tests.client import Background, hold, stream
from tests.fakes.scripted_target import Asked, Reply, ScriptedTarget
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

BODIES = {
    "/api/embed": {"input": "sky"},
    "/api/embeddings": {"prompt": "sky"},
    "/v1/embeddings": {"input": "sky"},
}
EMBEDDED = b'{"embeddings":[[1.0]]}'


def asked_directly(ollama: SimulationProcess, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """What the target itself says."""
    with stream(ollama.url, path, body) as opened:
        return opened.answer.status, opened.rest()


@pytest.fixture(scope="module")
def stack(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[Stack]:
    with Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}?slots=4",
    ) as stack:
        yield stack


@pytest.mark.parametrize("path", BODIES)
def test_an_embedding_by_a_chat_model_is_a_job_and_its_answer_the_targets_own(
    stack: Stack, simulation: SimulationProcess, path: str
) -> None:
    body = {"model": "chain-a", **BODIES[path]}

    answer = stack.post(path, body)

    assert (answer.status, answer.body) == asked_directly(simulation, path, body)
    job = stack.job(answer.headers["X-Foreman-Job-Id"])
    assert (job["endpoint"], job["queue"]) == (path, "model.chain-a%3Alatest")
    assert (answer.status, job["status"]) == (501, 501)


@pytest.mark.parametrize("path", BODIES)
def test_an_embedding_by_an_embedding_model_is_no_job(stack: Stack, path: str) -> None:
    before = len(stack.jobs())

    answer = stack.post(path, {"model": "chain-embed", **BODIES[path]})

    assert answer.status == 200
    assert "X-Foreman-Job-Id" not in answer.headers
    assert len(stack.jobs()) == before


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("model", ["nobody-has-it", "", "in valid", None])
def test_an_embedding_by_no_model_of_any_target_gets_the_targets_own_error(
    stack: Stack, simulation: SimulationProcess, path: str, model: str | None
) -> None:
    body = ({} if model is None else {"model": model}) | BODIES[path]
    before = len(stack.jobs())

    answer = stack.post(path, body)

    assert (answer.status, answer.body) == asked_directly(simulation, path, body)
    assert answer.status >= 400
    assert len(stack.jobs()) == before


def test_a_packed_embedding_by_a_chat_model_is_a_job(stack: Stack) -> None:
    body = zstandard.compress(json.dumps({"model": "chain-a", "input": "sky"}).encode())

    answer = stack.post("/v1/embeddings", body, headers={"Content-Encoding": "zstd"})

    assert answer.status == 501
    assert "X-Foreman-Job-Id" in answer.headers


@ON_ONE_BROKER
def test_an_embedding_is_answered_whole_whatever_its_body_says_of_streaming(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(slots=1)
    stack = new_stack(ollama, slots=1, settings={"FOREMAN_KEEPALIVE_AFTER": "0.1"})
    hold(ollama)
    running = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    body = {"model": "chain-a", "input": "sky", "stream": True}
    waiting = Background(stack.url, path="/api/embed", body=body)
    wait_for(lambda: len(stack.jobs()) == 2)
    wait_for(lambda: stack.rows("SELECT now() - created_at > '1 s' AS old FROM jobs")[1]["old"])

    ollama.end_faults()

    assert running.result()[0] == 200
    assert waiting.result()[0] == 501  # no keep-alive byte came before its status


@ON_ONE_BROKER
def test_an_embedding_by_a_chat_model_does_not_load_it_into_the_visit_of_another(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(slots=1, max_loaded=1)
    stack = new_stack(ollama, slots=1)
    hold(ollama)
    first = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    second = Background(stack.url)
    body = {"model": "chain-b", "input": "sky"}
    other = Background(stack.url, path="/api/embed", body=body)
    wait_for(lambda: len(stack.jobs()) == 3)

    ollama.end_faults()

    assert [first.result()[0], second.result()[0], other.result()[0]] == [200, 200, 501]
    assert [each["model"] for each in ollama.log("load")] == ["chain-a", "chain-b"]


# Older versions of Ollama list no capabilities.

OLD_MODELS = [
    {"name": "chat:latest", "digest": "1"},
    {"name": "vectors:latest", "digest": "2"},
    {"name": "older-vectors:latest", "digest": "3"},
    {"name": "unknown:latest", "digest": "4"},
    {"name": "cloud:latest", "digest": "5", "remote_host": "https://ollama.com"},
]
SHOWN: dict[str, Any] = {
    "chat:latest": {"capabilities": ["completion"]},
    "vectors:latest": {"capabilities": ["embedding"]},
    "older-vectors:latest": {"model_info": {"bert.pooling_type": 1}},
    "unknown:latest": None,
}


def _old_ollama(asked: Asked) -> Reply:
    if asked.path != "/api/show":
        return Reply(body=EMBEDDED)
    shown = SHOWN[json.loads(asked.body)["model"]]
    return Reply(500, b"{}") if shown is None else Reply(body=json.dumps(shown).encode())


@pytest.fixture(scope="module")
def old() -> Iterator[ScriptedTarget]:
    with ScriptedTarget(_old_ollama, models=OLD_MODELS) as fake:
        yield fake


@pytest.fixture(scope="module")
def old_stack(
    old: ScriptedTarget,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
) -> Iterator[Stack]:
    with Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={old.url}?slots=2",
    ) as stack:
        yield stack


@pytest.mark.parametrize(
    ("model", "is_job"),
    [("chat", True), ("vectors", False), ("older-vectors", False), ("unknown", True),
     ("cloud", False), ("nobody-has-it", False)],
)  # fmt: skip
def test_a_target_that_lists_no_capabilities_is_asked_for_those_of_the_model(
    old_stack: Stack, model: str, is_job: bool
) -> None:
    answer = old_stack.post("/api/embed", {"model": model, "input": "x"})

    assert (answer.status, answer.body) == (200, EMBEDDED)
    assert ("X-Foreman-Job-Id" in answer.headers) is is_job


def test_a_target_is_asked_once_for_each_digest(old_stack: Stack, old: ScriptedTarget) -> None:
    old_stack.post("/api/embed", {"model": "vectors", "input": "x"})
    old.asked.clear()

    for _ in range(5):
        assert old_stack.post("/api/embed", {"model": "vectors", "input": "x"}).status == 200

    assert len(old.asked_for("/api/embed")) == 5
    assert old.asked_for("/api/show") == []
