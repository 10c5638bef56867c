"""Swaps as foreman makes them: by its own requests, and not before the policy says so."""

import json
import threading
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold, stream
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import Stack, wait_for

LOAD_S = 0.3


def swaps(stack: Stack) -> list[dict[str, Any]]:
    return stack.rows("SELECT * FROM swaps ORDER BY id")


def loads(log: list[dict[str, Any]]) -> list[str]:
    return [event["model"] for event in log]


def _generates(ollama: SimulationProcess, model: str) -> bool:
    generating: dict[str, int] = ollama.state()["generating"]
    return generating == {model: 1}


class Crowd:
    """Clients that each ask again as soon as they are answered: the queue is never empty."""

    def __init__(self, stack: Stack, model: str, *, clients: int) -> None:
        self._is_over = threading.Event()
        self._stack = stack
        self._body = chat(model, stream=False, options={"num_predict": 8})
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self.answered = 0

    def _ask(self) -> None:
        while not self._is_over.is_set():
            assert self._stack.post("/api/chat", self._body).status == 200
            self.answered += 1

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)


@ON_ONE_BROKER
def test_an_overdue_residency_ends_a_visit_that_has_paid_for_its_swap(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=40, load_s=LOAD_S, max_loaded=1)
    rules = {"FOREMAN_MAX_WAIT_INTERACTIVE": "1", "FOREMAN_MIN_VISIT_SWAPS": "4"}
    stack = new_stack(ollama, settings=rules)
    with Crowd(stack, "chain-a", clients=12) as crowd:
        wait_for(lambda: crowd.answered > 4)

        other = stack.post("/api/chat", chat("chain-b", stream=False))

        assert other.status == 200
        wait_for(lambda: len(swaps(stack)) >= 3, what="and back again")
    first, second, third, *_ = swaps(stack)
    assert (first["reason"], second["reason"], third["reason"]) == ("first", "overdue", "drained")
    assert second["head_wait_s"] >= 1
    # D = 4 swaps: not before the visit had paid for its swap.
    dwell_s = (second["at"] - first["at"]).total_seconds()
    assert dwell_s >= 4 * first["cost_s"]
    assert second["jobs_served"] >= 4
    assert first["cost_s"] >= LOAD_S


@ON_ONE_BROKER
def test_without_an_overdue_one_a_visit_goes_on_while_there_is_work(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=40, load_s=LOAD_S, max_loaded=1)
    stack = new_stack(ollama)
    ollama.fault("stall_before", path="/api/chat")
    short = chat(stream=False, options={"num_predict": 2})
    backlog = [Background(stack.url, body=short) for _ in range(20)]
    wait_for(lambda: len(stack.jobs()) == 20)
    other = Background(stack.url, body=chat("chain-b", stream=False))
    wait_for(lambda: len(stack.jobs()) == 21)
    ollama.end_faults()

    assert [each.result()[0] for each in (*backlog, other)] == [200] * 21
    assert loads(ollama.log("load")) == ["chain-a", "chain-b"]
    assert [(swap["reason"], swap["jobs_served"]) for swap in swaps(stack)] == [
        ("first", 0),
        ("drained", 20),
    ]


@pytest.mark.alone
def test_a_swap_begins_as_soon_as_the_last_of_several_slots_is_free(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=20, tokens=16, load_s=0.05, max_loaded=1)
    stack = new_stack(ollama)
    for last, following in pairwise(("chain-a", "chain-b") * 3):
        running = Background(stack.url, body=chat(last))
        wait_for(partial(_generates, ollama, last))
        waiting = Background(stack.url, body=chat(following, options={"num_predict": 1}))
        assert (running.result()[0], waiting.result()[0]) == (200, 200)

    unloads = [unload["at"] for unload in ollama.log("unload")]
    ends = sorted(generation["end"] for generation in ollama.log("generation"))
    rests = [at - max(end for end in ends if end <= at) for at in unloads]
    assert len(rests) == 5
    assert median(rests) < 0.1


@ON_ONE_BROKER
def test_a_client_that_leaves_while_its_model_loads_does_not_abort_the_load(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(load_s=5, tokens_per_s=0)
    stack = new_stack(ollama)
    with stream(stack.url) as opened:
        wait_for(lambda: [job["phase"] for job in stack.jobs()] == ["loading"])
        opened.leave()
    wait_for(lambda: stack.jobs()[0]["state"] == "cancelled", 3, "at once, not after the load")

    answer = stack.post("/api/chat", chat(stream=False))

    assert answer.status == 200
    assert loads(ollama.log("load")) == ["chain-a"]
    assert [event["model"] for event in ollama.log("generation")] == ["chain-a"]
    wait_for(lambda: stack.jobs()[1]["state"] == "succeeded")
    assert stack.jobs()[1]["phase"] is None


@ON_ONE_BROKER
def test_a_working_job_says_that_it_generates_once_its_model_is_loaded(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(new_ollama(tokens=400))
    with stream(stack.url) as opened:
        opened.read_line()

        assert stack.job(opened.job_id)["phase"] == "generating"
        opened.leave()


@ON_ONE_BROKER
def test_a_model_that_does_not_load_gets_the_targets_own_error_and_others_go_on(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, load_s=0.05, max_loaded=1)
    stack = new_stack(ollama)
    for path in ("/api/generate", "/api/chat"):
        ollama.fault("error500", path=path, model="chain-b")
    broken = Background(stack.url, body=chat("chain-b", stream=False))
    wait_for(lambda: [swap["cost_s"] for swap in swaps(stack)][:1] == [None])

    others = [stack.post("/api/chat", chat(stream=False)) for _ in range(3)]

    assert [answer.status for answer in others] == [200] * 3
    status, body = broken.result()
    assert status == 500
    assert json.loads(body)["error"]
    wait_for(lambda: {job["state"] for job in stack.jobs()} == {"succeeded"})
    (job,) = (job for job in stack.jobs() if job["model"] == "chain-b:latest")
    assert (job["attempt"], job["state"]) == (3, "succeeded")


@ON_ONE_BROKER
def test_a_model_that_was_unloaded_behind_foremans_back_is_loaded_again_by_foreman(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, keep_alive_s=2)
    stack = new_stack(ollama)
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    wait_for(lambda: not ollama.state()["loaded"])

    # The first job finds out; it is answered all the same.
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    assert len(ollama.log("load")) == 2


@ON_ONE_BROKER
def test_a_worker_that_starts_finds_what_its_target_has_loaded(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0)
    stack = new_stack(ollama, workers=2)
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    holder = stack.rows("SELECT worker FROM targets")[0]["worker"].split("@")[0]

    stack.processes[holder].kill()

    assert stack.post("/api/chat", chat(stream=False)).status == 200
    assert loads(ollama.log("load")) == ["chain-a"]
    assert len(swaps(stack)) == 1


def test_messages_of_cancelled_jobs_do_not_end_a_visit(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(load_s=0.05, tokens_per_s=40)
    stack = new_stack(ollama)
    hold(ollama)
    with stream(stack.url) as opened:
        opened.read_line()
        for _ in range(3):
            with stream(stack.url, body=chat("chain-b")) as other:
                other.leave()
        wait_for(lambda: [job["state"] for job in stack.jobs()][1:] == ["cancelled"] * 3)
        ollama.end_faults()
        opened.rest()

    assert stack.post("/api/chat", chat(stream=False)).status == 200
    assert [swap["to_queue"] for swap in swaps(stack)] == ["model.chain-a%3Alatest"]


@ON_ONE_BROKER
def test_a_request_may_name_the_target_that_runs_it_and_one_that_is_none_is_refused(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(*(new_ollama(tokens_per_s=0) for _ in range(2)), workers=2)
    stack.wait_for_targets(2)

    refused, *answers = [
        stack.post("/api/chat", chat(stream=False), headers={"X-Foreman-Target": wanted})
        for wanted in ("nowhere", "gpu1", "gpu2")
    ]

    assert refused.status == 400
    assert "gpu1" in json.loads(refused.body)["error"]
    assert [answer.status for answer in answers] == [200, 200]
    assert [job["target"] for job in stack.jobs()] == ["gpu1", "gpu2"]


@ON_ONE_BROKER
def test_a_job_for_one_target_alone_does_not_wait_for_another_that_loads_its_model(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollamas = [new_ollama(models="both=1GiB", load_s=load_s) for load_s in (8, 0.05)]
    stack = new_stack(*ollamas, workers=2)
    stack.wait_for_targets(2)
    loading = "SELECT target AS name FROM residents WHERE is_loading"
    job = {"endpoint": "/api/chat", "request": chat("both")}
    assert stack.post("/jobs", job, headers={"X-Foreman-Target": "gpu1"}).status == 202
    wait_for(lambda: stack.rows(loading))

    asked = chat("both", stream=False, options={"num_predict": 3})
    answer = stack.post("/api/chat", asked, headers={"X-Foreman-Target": "gpu2"})

    assert answer.status == 200
    assert [row["name"] for row in stack.rows(loading)] == ["gpu1"]


@ON_ONE_BROKER
def test_of_two_targets_the_one_that_has_it_loaded_serves_it(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollamas = [new_ollama(tokens_per_s=0) for _ in range(2)]
    stack = new_stack(*ollamas, workers=2)
    stack.wait_for_targets(2)

    answers = [stack.post("/api/chat", chat(stream=False)) for _ in range(12)]

    assert [answer.status for answer in answers] == [200] * 12
    assert sum(len(ollama.log("load")) for ollama in ollamas) == 1


@ON_ONE_BROKER
def test_a_job_beside_one_that_hangs_loses_no_attempt_by_it(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(slots=2)
    stack = new_stack(ollama, slots=2, settings={"FOREMAN_FIRST_BYTE": "3"})
    hold(ollama)
    bystander = Background(stack.url, body=chat(stream=False))
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    ollama.fault("stall_before", path="/api/chat", times=1)
    hung = Background(stack.url)

    assert [each.result()[0] for each in (bystander, hung)] == [200, 200]

    ends = [(job["attempt"], job["fence"]) for job in stack.jobs()]
    assert ends == [(1, 2), (2, 2)]


@ON_ONE_BROKER
def test_a_wedged_target_is_sick_its_job_runs_elsewhere_and_it_comes_back(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    # The load is long enough for the other worker to see where the model is.
    ollamas = [new_ollama(tokens_per_s=0, load_s=1) for _ in range(2)]
    stack = new_stack(*ollamas, workers=2, settings={"FOREMAN_FIRST_BYTE": "3"})
    stack.wait_for_targets(2)
    assert stack.post("/api/chat", chat()).status == 200
    (used,) = (job["target"] for job in stack.jobs())
    wedged = ollamas[int(used[-1]) - 1]
    wedged.fault("wedge")

    answer = stack.post("/api/chat", chat())

    assert answer.status == 200
    assert answer.lines[-1]["done"]
    assert stack.jobs()[-1]["target"] != used

    def sick() -> list[str]:
        return [row["name"] for row in stack.rows("SELECT * FROM targets") if row["sick_since"]]

    wait_for(lambda: sick() == [used])
    wedged.clear()
    wait_for(lambda: sick() == [], 20)
