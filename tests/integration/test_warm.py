"""Two-slot residency: an embedding model stays loaded beside the chat models that come and go."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold, stream
from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Stack, wait_for

MODELS = "chat-a=4GiB,chat-b=4GiB,an-embed=1GiB;caps=embedding"
EMBED = {"model": "an-embed", "input": "sky"}
UNFIT = "models do not fit together"
# A worker looks at its target every 2 s.
LOOKS_S = 45.0


@pytest.fixture
def broker_url(new_broker_url: Callable[[str], str]) -> str:
    """One broker is enough: no message is about these models."""
    return new_broker_url("redis")


def loads(ollama: SimulationProcess) -> list[str]:
    return [event["model"] for event in ollama.log("load")]


def ask_ollama(ollama: SimulationProcess, path: str, body: Any = None) -> Any:
    """Past foreman, straight to the server."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(ollama.url + path, data=data, timeout=10) as answer:
        return json.load(answer)


def expires_at(ollama: SimulationProcess) -> dict[str, str]:
    return {entry["name"]: entry["expires_at"] for entry in ask_ollama(ollama, "/api/ps")["models"]}


def settled(stack: Stack, model: str) -> bool:
    """Whether the worker has said how long the model stays."""
    lines = [json.loads(x) for x in stack.log_of("worker1") if "model kept loaded" in x]
    return model in [line["model"] for line in lines]


def evictions(stack: Stack) -> int:
    rows = stack.rows("SELECT evictions FROM kept_models WHERE model = 'an-embed:latest'")
    return int(rows[0]["evictions"]) if rows else 0


def warnings(stack: Stack) -> list[str]:
    return [json.loads(line)["error"] for line in stack.log_of("worker1") if UNFIT in line]


def test_swaps_of_chat_models_cost_no_load_of_the_embedding_model(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    # By Ollama's own order it would be the first to go: same keep_alive, smallest name.
    ollama = new_ollama(models=MODELS, memory="6GiB", tokens_per_s=0)
    stack = new_stack(ollama)
    assert stack.post("/api/embed", EMBED).status == 200
    wait_for(lambda: settled(stack, "an-embed:latest"), LOOKS_S)

    for model in ("chat-a", "chat-b") * 3:
        assert stack.post("/api/chat", chat(model, stream=False)).status == 200
        assert stack.post("/v1/embeddings", EMBED).status == 200

    assert loads(ollama).count("an-embed") == 1
    assert loads(ollama).count("chat-a") == 3
    assert evictions(stack) == 0


def test_only_a_plain_use_of_an_embedding_model_keeps_it(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(new_ollama(models=MODELS + ",other=1GiB;caps=embedding", memory="12GiB"))
    # Runner options, which a load of foreman's would undo; an unload; two that cannot.
    for body in (
        {**EMBED, "options": {"num_ctx": 512}},
        {"model": "an-embed", "keep_alive": 0},
        {"model": "nobody-has-it", "input": "sky"},
        {"model": "chat-a", "input": "sky"},
    ):
        stack.post("/api/embed", body)

    for _ in range(20):
        assert stack.post("/api/embeddings", {"model": "OTHER", "prompt": "sky"}).status == 200

    rows = wait_for(lambda: stack.rows("SELECT target, model FROM kept_models"))
    assert rows == [{"target": "gpu1", "model": "other:latest"}]


def test_memory_that_cannot_hold_both_is_said_once_counted_and_disturbs_no_chat(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="4608MiB", tokens=100)
    stack = new_stack(ollama)
    assert stack.post("/api/embed", EMBED).status == 200
    wait_for(lambda: settled(stack, "an-embed:latest"), LOOKS_S)

    with stream(stack.url, body=chat("chat-a")) as opened:  # 5 s: several looks
        opened.read_line()
        wait_for(lambda: evictions(stack) == 1, LOOKS_S)
        assert json.loads(opened.rest().splitlines()[-1])["done"] is True

    assert loads(ollama) == ["an-embed", "chat-a"]

    # A client may load it all the same.
    assert stack.post("/api/embed", EMBED).status == 200

    wait_for(lambda: evictions(stack) == 2, LOOKS_S)
    assert loads(ollama) == ["an-embed", "chat-a", "an-embed"]
    assert warnings(stack) == [
        "the memory of target gpu1 does not hold an-embed:latest (1.0 GiB) beside"
        " chat-a:latest (4.0 GiB): each load of one drives the other out"
    ]


def test_pinned_models_are_loaded_from_the_start_and_put_back_after_an_unload(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="12GiB")
    pinned = {"FOREMAN_PINNED": "library/chat-a,an-embed:latest,not-here"}
    stack = new_stack(ollama, settings=pinned)
    wait_for(lambda: sorted(loads(ollama)) == ["an-embed", "chat-a"], LOOKS_S)
    assert all(at > "2100" for at in expires_at(ollama).values())

    wait_for(lambda: settled(stack, "chat-a:latest"), LOOKS_S)
    for model in ("chat-a", "an-embed"):
        ask_ollama(ollama, "/api/generate", {"model": model, "keep_alive": 0})

    wait_for(lambda: sorted(loads(ollama)) == ["an-embed"] * 2 + ["chat-a"] * 2, LOOKS_S)
    assert stack.jobs() == []


def test_a_request_for_a_pinned_chat_model_waits_in_its_queue(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="12GiB")
    stack = new_stack(ollama, settings={"FOREMAN_PINNED": "chat-a"})
    wait_for(lambda: loads(ollama) == ["chat-a"], LOOKS_S)
    hold(ollama)

    with stream(stack.url, body=chat("chat-b")) as opened:
        opened.read_line()
        waiting = Background(stack.url, body=chat("chat-a", options={"num_predict": 1}))
        wait_for(lambda: len(stack.jobs()) == 2)
        assert waiting.is_waiting
        ollama.end_faults()
        opened.rest()

    assert waiting.result()[0] == 200
    assert loads(ollama) == ["chat-a", "chat-b"]
    assert ollama.state()["overlaps"] == 1


def test_a_target_that_hangs_when_it_is_looked_at_serves_jobs_all_the_same(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="12GiB", tokens=120)
    ollama.fault("wedge", path="/api/ps")  # before the first look
    stack = new_stack(ollama, settings={"FOREMAN_PINNED": "an-embed"})

    answer = stack.post("/api/chat", chat("chat-a"))  # 6 s: two leases

    assert answer.lines[-1]["done"] is True
    assert stack.jobs()[0]["attempt"] == 1
    ollama.clear()
    wait_for(lambda: "an-embed" in loads(ollama), LOOKS_S)


def embedding_target(stack: Stack, model: str = "an-embed") -> str:
    answer = stack.post("/api/embed", {"model": model, "input": "sky"})
    assert answer.status == 200, answer.body
    return answer.headers["X-Foreman-Target"]


def test_embeddings_go_where_their_model_is_loaded_and_elsewhere_when_that_is_away(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    models = MODELS + ",other=1GiB;caps=embedding"
    first, second = (new_ollama(models=models, memory="12GiB") for _ in range(2))
    stack = new_stack(first, second, workers=2)
    stack.wait_for_targets(2)
    first.fault("stall_before", path="/api/embed", model="other")

    held = Background(stack.url, "/api/embed", {"model": "other", "input": "sky"})
    wait_for(lambda: first.state()["busy_slots"].get("other") == 1)
    assert {embedding_target(stack) for _ in range(3)} == {"gpu2"}
    first.clear()
    assert held.result()[0] == 200
    # Now both are idle, and gpu1 is the first of the settings.
    assert {embedding_target(stack) for _ in range(3)} == {"gpu2"}
    assert {embedding_target(stack, "other") for _ in range(3)} == {"gpu1"}
    # Who names a target gets it, loaded there or not.
    asked = {"model": "an-embed", "input": "sky"}
    named = stack.post("/api/embed", asked, headers={"X-Foreman-Target": "gpu1"})
    assert (named.status, named.headers["X-Foreman-Target"]) == (200, "gpu1")
    assert stack.post("/api/embed", asked, headers={"X-Foreman-Target": "gpu9"}).status == 400

    second.stop()

    assert {embedding_target(stack) for _ in range(3)} == {"gpu1"}
