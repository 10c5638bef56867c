"""An embedding model in use stays loaded next to the chat models that come and go."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold, stream
from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Stack, wait_for

MODELS = "chat-a=4GiB,chat-b=4GiB,an-embed=1GiB;caps=embedding"
EMBED = {"model": "an-embed", "input": "sky"}
MADE_ROOM = "kept model was unloaded to make room"
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


def stays_s(ollama: SimulationProcess, name: str) -> float:
    """How long a loaded model would stay without another use."""
    until = datetime.fromisoformat(expires_at(ollama)[name])
    return (until - datetime.now(UTC)).total_seconds()


def settled(stack: Stack, model: str) -> bool:
    """Whether the worker has it among its residents, with a pin."""
    return bool(stack.rows("SELECT 1 FROM residents WHERE model = %s AND is_pinned", model))


def made_room(stack: Stack) -> list[str]:
    """The kept models that had to go, by the worker's log."""
    return [json.loads(line)["model"] for line in stack.log_of("worker1") if MADE_ROOM in line]


@pytest.fixture
def new_stack(new_stack: NewStack) -> NewStack:
    """A foreman that is told nothing of the room of its targets."""

    def make(*ollamas: SimulationProcess, **options: Any) -> Stack:
        targets = [f"gpu{n}={ollama.url}?slots=2" for n, ollama in enumerate(ollamas, 1)]
        return new_stack(*ollamas, **{"targets": ",".join(targets)} | options)

    return make


def test_swaps_of_chat_models_cost_no_load_of_the_embedding_model(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    # By Ollama's own order it would be the first to go: same keep_alive, smallest name.
    ollama = new_ollama(models=MODELS, memory="6GiB", tokens_per_s=0)
    stack = new_stack(ollama)
    assert stack.post("/api/embed", EMBED).status == 200
    wait_for(lambda: settled(stack, "an-embed:latest"), LOOKS_S)
    # Whoever has loaded it: Ollama takes first what stays for the shortest time.
    wait_for(lambda: stays_s(ollama, "an-embed:latest") > 600, LOOKS_S, "it stays for long")

    for model in ("chat-a", "chat-b") * 3:
        assert stack.post("/api/chat", chat(model, stream=False)).status == 200
        assert stack.post("/v1/embeddings", EMBED).status == 200

    assert loads(ollama).count("an-embed") == 1
    assert loads(ollama).count("chat-a") == 3
    assert made_room(stack) == []


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


def test_memory_that_cannot_hold_both_is_said_and_disturbs_no_chat(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="4608MiB", tokens=100)
    stack = new_stack(ollama)
    assert stack.post("/api/embed", EMBED).status == 200
    wait_for(lambda: settled(stack, "an-embed:latest"), LOOKS_S)

    with stream(stack.url, body=chat("chat-a")) as opened:  # 5 s: several looks
        opened.read_line()
        wait_for(lambda: made_room(stack) == ["an-embed:latest"], LOOKS_S)
        assert json.loads(opened.rest().splitlines()[-1])["done"] is True

    assert loads(ollama) == ["an-embed", "chat-a"]

    # A client may load it all the same.
    assert stack.post("/api/embed", EMBED).status == 200
    assert loads(ollama) == ["an-embed", "chat-a", "an-embed"]


def test_an_embedding_model_in_use_keeps_nobody_out_of_a_target_for_one_model(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, max_loaded=1)
    stack = new_stack(ollama, targets=f"gpu1={ollama.url}?slots=2&residents=1")

    for _ in range(2):
        assert stack.post("/api/embed", EMBED).status == 200
        assert stack.post("/api/chat", chat("chat-a", stream=False)).status == 200

    assert loads(ollama) == ["an-embed", "chat-a"] * 2


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


def test_a_pinned_chat_model_is_served_by_its_queue_next_to_the_others(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, memory="12GiB")
    stack = new_stack(ollama, settings={"FOREMAN_PINNED": "chat-a"})
    wait_for(lambda: loads(ollama) == ["chat-a"], LOOKS_S)
    hold(ollama)

    with stream(stack.url, body=chat("chat-b")) as opened:
        opened.read_line()
        answer = stack.post("/api/chat", chat("chat-a", stream=False, options={"num_predict": 1}))
        ollama.end_faults()
        opened.rest()

    assert answer.status == 200
    assert stack.job(answer.headers["X-Foreman-Job-Id"])["queue"] == "model.chat-a%3Alatest"
    assert loads(ollama) == ["chat-a", "chat-b"]


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
    wait_for(lambda: settled(stack, "an-embed:latest"), LOOKS_S)


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


def test_an_embedding_waits_for_no_target_that_is_known_to_be_away(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS)
    stack = new_stack(ollama)
    assert stack.post("/api/embed", EMBED).status == 200
    ollama.stop()
    wait_for(lambda: not stack.is_ready(), LOOKS_S)

    answer = stack.post("/api/embed", EMBED)

    assert answer.status == 503
    error = json.loads(answer.body)["error"]
    assert error.startswith("server busy, please try again: target gpu1 ")
