"""The drain on real brokers: one residency at a time, few loads, queues that appear."""

import json
from typing import Any

import pytest

from tests.client import Background, chat, hold, stream
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import Stack, wait_for


def inspect(stack: Stack, what: str) -> list[dict[str, Any]]:
    """What the worker answers, as soon as it does."""
    command = ["celery", "-A", "celery_app", "inspect", what]
    shown = stack.run("-m", *command, "-j", "-d", "worker1@test", "-t", "10")
    answer: list[dict[str, Any]] = json.loads(shown)["worker1@test"]
    return answer


def test_forty_interleaved_requests_for_two_models_cost_two_loads(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, load_s=0.5, max_loaded=1, slots=4)
    stack = new_stack(ollama, slots=4)
    models = ["chain-a", "chain-b"] * 20
    ollama.fault("stall_before", path="/api/chat")

    waiting = [Background(stack.url, body=chat(model)) for model in models]
    wait_for(lambda: len(stack.jobs()) == 40, 30)
    ollama.end_faults()

    assert [each.result(40)[0] for each in waiting] == [200] * 40
    assert len(ollama.log("load")) == 2
    assert ollama.state()["overlaps"] == 1
    assert ollama.state()["peak"] <= 4


@ON_ONE_BROKER
def test_the_queue_that_is_drained_is_what_inspect_shows(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(new_ollama(tokens=2000))
    with stream(stack.url) as opened:
        opened.read_line()

        queues = [queue["name"] for queue in inspect(stack, "active_queues")]
        assert queues == ["foreman.default", "model.chain-a%3Alatest"]
        active = inspect(stack, "active")
        assert [task["id"] for task in active] == [opened.job_id]
        assert active[0]["type"] == "foreman.generate"
        opened.leave()


@pytest.mark.alone
def test_a_queue_that_never_was_is_served_within_a_second(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, load_s=0.01)
    stack = new_stack(ollama)

    answer = stack.post("/api/chat", chat(options={"num_ctx": 1234}))

    assert answer.status == 200
    job = stack.rows("SELECT queue, working_at - created_at AS waited FROM jobs")[0]
    assert job["queue"].startswith("model.chain-a%3Alatest~")
    assert job["waited"].total_seconds() < 1


@ON_ONE_BROKER
def test_no_residency_runs_beside_another_although_both_have_free_slots(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=40, memory="20GiB", slots=4)
    stack = new_stack(ollama, slots=4)
    hold(ollama)
    with stream(stack.url) as opened:
        opened.read_line()

        other = Background(stack.url, body=chat("chain-b", options={"num_predict": 3}))
        same = Background(stack.url, body=chat(options={"num_predict": 3}))

        assert same.result()[0] == 200
        assert other.is_waiting
        ollama.end_faults()
        opened.rest()
    assert other.result()[0] == 200
    assert ollama.state()["overlaps"] == 1


@ON_ONE_BROKER
def test_a_spare_worker_takes_over_the_target_of_a_dead_one(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=200), workers=2)
    holder = stack.rows("SELECT worker FROM targets")[0]["worker"].split("@")[0]

    stack.processes[holder].kill()

    assert stack.post("/api/chat", chat(stream=False)).status == 200
    assert not stack.rows("SELECT worker FROM targets")[0]["worker"].startswith(holder)


@ON_ONE_BROKER
def test_two_targets_are_driven_by_two_workers_and_show_one_list(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    first = new_ollama(models="one=1GiB,both=1GiB", tokens_per_s=200)
    second = new_ollama(models="two=1GiB,both=1GiB", tokens_per_s=200)
    stack = new_stack(first, second, workers=2)
    stack.wait_for_targets(2)

    answers = [stack.post("/api/chat", chat(model, stream=False)) for model in ("one", "two")]

    assert [answer.status for answer in answers] == [200, 200]
    assert {job["model"]: job["target"] for job in stack.jobs()} == {
        "one:latest": "gpu1",
        "two:latest": "gpu2",
    }
    names = [model["name"] for model in json.loads(stack.get("/api/tags").body)["models"]]
    assert sorted(names) == ["both:latest", "one:latest", "two:latest"]


@ON_ONE_BROKER
def test_swaps_are_written_down(new_stack: NewStack, new_ollama: NewOllama) -> None:
    stack = new_stack(new_ollama(tokens_per_s=0, load_s=0.01))

    for model in ("chain-a", "chain-a", "chain-b"):
        assert stack.post("/api/chat", chat(model, stream=False)).status == 200

    swaps = stack.rows("SELECT to_queue, reason, jobs_served FROM swaps ORDER BY id")
    assert [(swap["to_queue"], swap["reason"], swap["jobs_served"]) for swap in swaps] == [
        ("model.chain-a%3Alatest", "first", 0),
        ("model.chain-b%3Alatest", "drained", 2),
    ]
    wait_for(lambda: {job["state"] for job in stack.jobs()} == {"succeeded"})


@ON_ONE_BROKER
def test_a_short_outage_of_the_target_fails_no_waiting_job(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=200)
    stack = new_stack(ollama)
    ollama.fault("refuse", seconds=3)

    waiting = Background(stack.url, body=chat(stream=False))

    assert waiting.result()[0] == 200
    assert stack.jobs()[0]["attempt"] <= 2


@ON_ONE_BROKER
def test_a_dead_target_leaves_its_jobs_to_the_one_that_lives(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    first, second = (new_ollama(models="both=1GiB", tokens_per_s=200) for _ in range(2))
    stack = new_stack(first, second, workers=2)
    stack.wait_for_targets(2)

    first.stop()

    answers = [stack.post("/api/chat", chat("both", stream=False)) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 6
