"""FOREMAN_KEEP_LOADED: a model does not go while more of its work waits."""

import json

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import Stack, wait_for

SHORT = {"num_predict": 2}


def ask(stack: Stack, keep_alive: object) -> Background:
    return Background(stack.url, body=chat(stream=False, options=SHORT, keep_alive=keep_alive))


def changes(stack: Stack, ollama: SimulationProcess) -> list[str]:
    """What the answers of four requests, served one after the other, say was changed."""
    ollama.fault("stall_before", path="/api/chat", times=1)
    first = ask(stack, 0)
    wait_for(lambda: ollama.state()["generating"])
    others = [ask(stack, wish) for wish in (0, "0s", 0)]
    wait_for(lambda: len(stack.jobs()) == 4)
    ollama.end_faults()
    for each in (first, *others):
        assert each.result()[0] == 200
    return sorted(each.header("X-Foreman-Changed") or "" for each in (first, *others))


@ON_ONE_BROKER
@pytest.mark.parametrize(("is_on", "unloads"), [("1", 2), ("0", 4)])
def test_of_several_only_those_with_nothing_behind_them_unload_the_model(
    new_stack: NewStack, new_ollama: NewOllama, is_on: str, unloads: int
) -> None:
    ollama = new_ollama(load_s=0.05, slots=1)
    stack = new_stack(ollama, slots=1, settings={"FOREMAN_KEEP_LOADED": is_on})

    told = changes(stack, ollama)

    # The first was alone when it was sent, the last when its turn came.
    assert told == (["", "", "keep_alive", "keep_alive"] if is_on == "1" else [""] * 4)
    wait_for(lambda: len(ollama.log("unload")) == unloads)
    bodies = stack.rows("SELECT body FROM payloads")
    kept = sorted(str(json.loads(row["body"])["keep_alive"]) for row in bodies)
    assert kept == ["0", "0", "0", "0s"]
    assert stack.post("/api/chat", chat(stream=False, options=SHORT)).status == 200


@ON_ONE_BROKER
def test_below_v1_nothing_is_changed(new_stack: NewStack, new_ollama: NewOllama) -> None:
    stack = new_stack(new_ollama(tokens_per_s=0), settings={"FOREMAN_KEEP_LOADED": "1"})

    answer = stack.post("/v1/chat/completions", chat(keep_alive=0))

    assert answer.status == 200
    assert "X-Foreman-Changed" not in answer.headers
