"""Targets that hold several models at once."""

import json
import threading
import urllib.request
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import Stack, wait_for

# Loads, long runs and a lost worker, on a machine that may be busy.
pytestmark = pytest.mark.timeout(240)

THREE = "a=4GiB,b=4GiB,c=4GiB,d=4GiB"
# Long enough to be seen at work, and short enough to be waited for.
LONG = {"num_predict": 60}


@pytest.fixture
def ollama(new_ollama: NewOllama) -> SimulationProcess:
    """Room for three of its four models."""
    return new_ollama(models=THREE, memory="13GiB", tokens_per_s=20, tokens=200)


def over(new_stack: NewStack, ollama: SimulationProcess, **options: Any) -> Stack:
    """A foreman that is told nothing of the target's room."""
    return new_stack(targets=f"gpu={ollama.url}?slots=2", **options)


def listed(stack: Stack) -> set[str]:
    """The residents by their models' names, as rows say."""
    rows = stack.rows("SELECT model FROM residents WHERE NOT is_loading")
    return {row["model"].removesuffix(":latest") for row in rows}


def at_work(ollama: SimulationProcess) -> set[str]:
    return set(ollama.state()["generating"])


@ON_ONE_BROKER
def test_models_that_fit_are_loaded_once_and_serve_at_the_same_time(
    new_stack: NewStack, ollama: SimulationProcess
) -> None:
    stack = over(new_stack, ollama)

    def client(model: str) -> None:
        for _ in range(5):
            answer = stack.post("/api/chat", chat(model, stream=False, options={"num_predict": 5}))
            assert answer.status == 200

    clients = [threading.Thread(target=client, args=[model]) for model in "abc"]
    for each in clients:
        each.start()
    for each in clients:
        each.join(60)

    assert sorted(event["model"] for event in ollama.log("load")) == ["a", "b", "c"]
    together = [Background(stack.url, body=chat(model, options=LONG)) for model in "abc"]
    wait_for(lambda: at_work(ollama) == {"a", "b", "c"})
    assert [each.result()[0] for each in together] == [200] * 3
    assert {row["reason"] for row in stack.rows("SELECT reason FROM swaps")} <= {
        "first",
        "fits",
        "tried",
    }


@ON_ONE_BROKER
def test_what_does_not_fit_waits_for_a_victim_at_rest_and_no_run_is_disturbed(
    new_stack: NewStack, ollama: SimulationProcess
) -> None:
    stack = over(new_stack, ollama)
    for model in "abcd":  # now it is known that four do not fit
        assert stack.post("/api/chat", chat(model, stream=False)).status == 200
    gone = next(iter(set("abcd") - listed(stack)))
    running = [Background(stack.url, body=chat(model, options=LONG)) for model in listed(stack)]
    wait_for(lambda: len(at_work(ollama)) == 3)

    late = stack.post("/api/chat", chat(gone, stream=False, options={"num_predict": 2}))

    assert late.status == 200
    assert [each.result()[0] for each in running] == [200] * 3
    generations = {event["model"]: event for event in ollama.log("generation")}
    unloads = [event["at"] for event in ollama.log("unload")]
    first_end = min(generations[model]["end"] for model in "abcd" if model != gone)
    assert unloads[-1] >= first_end


@ON_ONE_BROKER
def test_what_somebody_else_loads_is_a_resident_like_the_others(
    new_stack: NewStack, ollama: SimulationProcess
) -> None:
    stack = over(new_stack, ollama)
    assert stack.post("/api/chat", chat("a", stream=False)).status == 200
    wish = json.dumps({"model": "b", "stream": False, "prompt": "hi"}).encode()

    urllib.request.urlopen(f"{ollama.url}/api/generate", wish, timeout=20).close()

    wait_for(lambda: listed(stack) == {"a", "b"})
    assert stack.post("/api/chat", chat("b", stream=False)).status == 200
    assert [event["model"] for event in ollama.log("load")] == ["a", "b"]

    gone = json.dumps({"model": "b", "keep_alive": 0}).encode()
    urllib.request.urlopen(f"{ollama.url}/api/generate", gone, timeout=20).close()
    wait_for(lambda: listed(stack) == {"a"})


def test_a_spare_worker_takes_over_both_residents_of_one_that_was_killed(
    new_stack: NewStack, ollama: SimulationProcess
) -> None:
    stack = over(new_stack, ollama, workers=2)
    for model in "ab":
        assert stack.post("/api/chat", chat(model, stream=False)).status == 200
    holder = stack.rows("SELECT worker FROM targets")[0]["worker"].split("@")[0]
    jobs = [
        json.loads(stack.post("/jobs", {"endpoint": "/api/chat", "request": chat(model)}).body)
        for model in "abab"
    ]
    wait_for(lambda: at_work(ollama) == {"a", "b"})

    stack.processes[holder].kill()

    wait_for(lambda: {stack.job(job["id"])["state"] for job in jobs} == {"succeeded"}, 90)
    assert len(ollama.log("load")) == 2, "nothing that was loaded had to be loaded again"
    assert listed(stack) == {"a", "b"}
