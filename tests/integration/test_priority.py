"""Synchronous callers that are in no hurry: how they say it, and behind whom they wait."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, stream
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

BATCH = {"X-Foreman-Priority": "batch"}
QUEUED = [
    "/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/v1/responses",
    "/v1/messages",
]  # fmt: skip
EMBEDDINGS = ["/api/embed", "/api/embeddings", "/v1/embeddings"]


@pytest.fixture(scope="module")
def shared_stack(
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


def body_for(path: str, model: str = "chain-a", **more: Any) -> dict[str, Any]:
    if path in EMBEDDINGS:
        return {"model": model, "input": "x", "prompt": "x"} | more
    return chat(model, prompt="x", input="x", max_tokens=2, stream=False) | more


def class_of(stack: Stack, path: str, headers: dict[str, str], **more: Any) -> str:
    answer = stack.post(path, body_for(path, **more), headers=headers)
    # A chat model makes no embeddings: the target says so, and it was a job all the same.
    assert answer.status == (501 if path in EMBEDDINGS else 200), answer.body
    return str(stack.job(answer.headers["X-Foreman-Job-Id"])["job_class"])


@pytest.mark.parametrize("path", [*QUEUED, "/api/embed", "/v1/embeddings"])
def test_the_header_chooses_the_class_on_every_queued_route(shared_stack: Stack, path: str) -> None:
    assert class_of(shared_stack, path, BATCH) == "batch"
    assert class_of(shared_stack, path, {}) == "interactive"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_the_tier_chooses_it_too_the_header_wins_and_the_body_is_sent_as_it_came(
    shared_stack: Stack, path: str
) -> None:
    assert class_of(shared_stack, path, {}, service_tier="flex") == "batch"
    asked = {"X-Foreman-Priority": "interactive"}
    assert class_of(shared_stack, path, asked, service_tier="flex") == "interactive"

    newest = "SELECT body, headers FROM payloads JOIN jobs ON id = job_id ORDER BY created_at DESC"
    stored = shared_stack.rows(newest)[0]
    assert json.loads(bytes(stored["body"])) == body_for(path, service_tier="flex")
    assert "foreman" not in str(stored["headers"]).lower()


@pytest.mark.parametrize("path", [*QUEUED, *EMBEDDINGS])
@pytest.mark.parametrize("model", ["chain-a", "nobody-has-it"])
def test_an_unknown_priority_is_refused_in_the_form_of_the_route(
    shared_stack: Stack, path: str, model: str
) -> None:
    before = len(shared_stack.jobs())

    answer = shared_stack.post(
        path, body_for(path, model), headers={"X-Foreman-Priority": "urgent"}
    )

    error: Any = json.loads(answer.body)["error"]
    assert answer.status == 400
    message = error if path.startswith("/api/") else error["message"]
    assert message == "X-Foreman-Priority must be interactive or batch"
    if path.startswith("/v1/"):
        assert error["type"] == "invalid_request_error"
    assert len(shared_stack.jobs()) == before


def test_a_batch_caller_waits_behind_interactive_ones_and_is_kept_alive(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, load_s=0.01, slots=1)
    stack = new_stack(ollama, slots=1, settings={"FOREMAN_KEEPALIVE_AFTER": "0.1"})
    ollama.fault("stall_before", path="/api/chat")
    ollama.fault("stall_before", path="/v1/chat/completions")
    first = Background(stack.url)
    wait_for(lambda: [job["state"] for job in stack.jobs()] == ["working"])

    with stream(
        stack.url, "/v1/chat/completions", chat(stream=True, service_tier="flex")
    ) as patient:
        assert patient.answer.read(10) == b": queued\n\n"
        others = [Background(stack.url) for _ in range(3)]
        wait_for(lambda: len(stack.jobs()) == 5)
        expected = {"interactive": 3, "batch": 1}
        wait_for(lambda: _waiting(stack) == expected, what=f"/queues shows {expected}")
        ollama.end_faults()
        rest = patient.rest()

    assert rest.endswith(b"data: [DONE]\n\n")
    assert [each.result()[0] for each in (first, *others)] == [200] * 4
    begun = "SELECT job_class FROM jobs ORDER BY working_at"
    served = [row["job_class"] for row in stack.rows(begun)]
    assert served == ["interactive"] * 4 + ["batch"]


def _waiting(stack: Stack) -> dict[str, int]:
    queues = json.loads(stack.get("/queues").body)["data"]
    return dict(queues[0]["waiting"]) if queues else {}


@ON_ONE_BROKER
def test_a_batch_caller_that_has_waited_long_enough_goes_first(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, load_s=0.01, slots=1)
    stack = new_stack(ollama, slots=1, settings={"FOREMAN_MAX_WAIT_BATCH": "1"})
    ollama.fault("stall_before", path="/api/chat")
    Background(stack.url)
    wait_for(lambda: [job["state"] for job in stack.jobs()] == ["working"])

    patient = Background(stack.url, body=chat(), headers=BATCH)
    wait_for(lambda: len(stack.jobs()) == 2)
    other = Background(stack.url)
    wait_for(lambda: len(stack.jobs()) == 3)
    late_at = time.monotonic() + 1.5
    wait_for(lambda: time.monotonic() > late_at)  # longer than a batch job waits
    ollama.end_faults()

    assert [each.result()[0] for each in (patient, other)] == [200, 200]
    begun = "SELECT job_class FROM jobs ORDER BY working_at"
    assert [row["job_class"] for row in stack.rows(begun)] == [
        "interactive",
        "batch",
        "interactive",
    ]
