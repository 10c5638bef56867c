"""Which models are loaded, who waits for whom, and what happens to who leaves."""

import pytest

from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import ask, ask_later, asked, chat, wait_for
from tests.unit.simulation.conftest import StartSimulation

TWO_DO_NOT_FIT = "a=4GiB,b=4GiB,small=1GiB"


def loads_and_unloads(simulation: SimulationProcess) -> list[tuple[str, str]]:
    return [(e["event"], e["model"]) for e in simulation.log() if e["event"] != "generation"]


def test_loading_a_model_that_does_not_fit_evicts_another(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=0, tokens_per_s=0)

    for model in ("a", "b", "a"):
        assert ask(simulation.url, "/api/chat", chat(model)).status == 200

    assert loads_and_unloads(simulation) == [
        ("load", "a"),
        ("unload", "a"),
        ("load", "b"),
        ("unload", "b"),
        ("load", "a"),
    ]
    assert {e["reason"] for e in simulation.log("unload")} == {"evicted"}


def test_models_that_fit_stay_loaded_together(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=0, tokens_per_s=0)

    for model in ("a", "small", "a", "small"):
        ask(simulation.url, "/api/chat", chat(model))

    assert loads_and_unloads(simulation) == [("load", "a"), ("load", "small")]
    assert simulation.state()["loaded"] == ["a", "small"]


def test_max_loaded_evicts_what_would_fit(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, max_loaded=1, load_s=0, tokens_per_s=0)

    for model in ("a", "small"):
        ask(simulation.url, "/api/chat", chat(model))

    assert simulation.state()["loaded"] == ["small"]


def test_a_model_larger_than_the_memory_is_refused(start: StartSimulation) -> None:
    simulation = start(models="huge=9GiB", load_s=0)

    answer = ask(simulation.url, "/api/chat", chat("huge"))

    needed = "model requires more system memory (9.0 GiB) than is available (6.0 GiB)"
    assert (answer.status, answer.json) == (500, {"error": needed})


def test_another_runner_option_reloads_the_model(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    for options in ({}, {"num_ctx": 4096, "temperature": 0.5}, {"num_ctx": 8192}, {"seed": 1}):
        ask(simulation.url, "/api/chat", chat("chain-a", options=options))

    loads = simulation.log("load")
    assert [load["options"] for load in loads] == [{}, {"num_ctx": 8192}, {}]
    assert [load["reason"] for load in loads] == ["needed", "reload", "reload"]


def test_names_of_one_digest_share_a_runner(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    for model in ("llama3.2", "llama3.2:1b", " LIBRARY/llama3.2:latest "):
        assert ask(simulation.url, "/api/chat", chat(model)).lines[0]["model"] == model

    assert len(simulation.log("load")) == 1


def test_a_slot_is_waited_for_in_order(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=100, tokens=10, slots=1)

    ask(simulation.url, "/api/chat", {"model": "chain-a"})
    simulation.fault("stall_before")
    jobs = []
    for number in range(4):
        jobs.append(
            ask_later(simulation.url, "/api/chat", chat("chain-a"), X_Foreman_Job_Id=str(number))
        )
        wait_for(lambda: sum(_in_hand(simulation)) == len(jobs))
    simulation.end_faults()
    for job in jobs:
        assert job.result().status == 200

    assert [e["job_id"] for e in simulation.log("generation")] == ["0", "1", "2", "3"]
    assert simulation.state()["peak"] == 1


def _in_hand(simulation: SimulationProcess) -> tuple[int, int]:
    state = simulation.state()
    return state["busy_slots"]["chain-a"], state["waiting_for_slot"]["chain-a"]


def test_slots_run_at_once_and_models_that_fit_overlap(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0, slots=3)
    simulation.fault("stall_before")

    jobs = [ask_later(simulation.url, "/api/chat", chat(m)) for m in ["chain-a"] * 3 + ["chain-b"]]
    wait_for(lambda: simulation.state()["generating"] == {"chain-a": 3, "chain-b": 1})
    simulation.end_faults()

    assert [job.result().status for job in jobs] == [200] * 4
    assert simulation.state()["peak"] == 4
    assert simulation.state()["overlaps"] == 2


def test_who_waits_for_an_eviction_makes_all_behind_wait(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=0, tokens_per_s=0)
    simulation.fault("stall_before", model="a", times=1)

    with asked(simulation.url, "/api/chat", chat("a")):
        wait_for(lambda: simulation.state()["generating"] == {"a": 1})
        waiting_b = ask_later(simulation.url, "/api/chat", chat("b"))
        wait_for(lambda: simulation.state()["pending"] == 1)
        # It would fit beside a, but it stands behind b.
        waiting_small = ask_later(simulation.url, "/api/chat", chat("small"))
        wait_for(lambda: simulation.state()["pending"] == 2)

        # A request for the loaded model goes past the line.
        assert ask(simulation.url, "/api/chat", chat("a")).status == 200
        assert simulation.state()["pending"] == 2

    assert waiting_b.result().status == waiting_small.result().status == 200
    assert [load["model"] for load in simulation.log("load")] == ["a", "b", "small"]


def test_a_full_line_answers_busy(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=60, max_queue=1)

    with asked(simulation.url, "/api/chat", chat("a")):
        wait_for(lambda: simulation.state()["pending"] == 1)
        answer = ask(simulation.url, "/api/chat", chat("b"))

    text = "server busy, please try again.  maximum pending requests exceeded"
    assert (answer.status, answer.json) == (503, {"error": text})


def test_a_load_is_thrown_away_when_its_client_leaves(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=60)

    with asked(simulation.url, "/api/chat", chat("a")):
        wait_for(lambda: simulation.state()["loading"] == "a")

    wait_for(lambda: simulation.log("load_aborted"))
    assert simulation.log("load") == []
    (generation,) = simulation.log("generation")
    assert (generation["ended"], generation["start"]) == ("client_gone", None)


def test_who_leaves_the_line_is_never_loaded(start: StartSimulation) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=0, tokens_per_s=0)
    simulation.fault("stall_before", model="a", times=1)

    with asked(simulation.url, "/api/chat", chat("a")):
        wait_for(lambda: simulation.state()["generating"] == {"a": 1})
        with asked(simulation.url, "/api/chat", chat("b")):
            wait_for(lambda: simulation.state()["pending"] == 1)
        wait_for(lambda: simulation.state()["pending"] == 0)
    wait_for(lambda: len(simulation.log("generation")) == 2)

    assert [load["model"] for load in simulation.log("load")] == ["a"]


def test_who_leaves_the_wait_for_a_slot_gives_way(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0, slots=1)
    simulation.fault("stall_before", times=1)

    with asked(simulation.url, "/api/chat", chat("chain-a")):
        wait_for(lambda: simulation.state()["peak"] == 1)
        with asked(simulation.url, "/api/chat", chat("chain-a")):
            wait_for(lambda: _in_hand(simulation) == (1, 1))
        wait_for(lambda: _in_hand(simulation) == (1, 0))

    wait_for(lambda: _in_hand(simulation) == (0, 0))
    assert ask(simulation.url, "/api/chat", chat("chain-a")).status == 200


def test_a_new_keep_alive_keeps_a_model_that_was_to_be_evicted(start: StartSimulation) -> None:
    """ollama#17408: the front must never let it come to this."""
    simulation = start(models=TWO_DO_NOT_FIT, load_s=0, tokens_per_s=0)
    simulation.fault("stall_before", model="a", times=1)

    with asked(simulation.url, "/api/chat", chat("a")):
        wait_for(lambda: simulation.state()["generating"] == {"a": 1})
        waiting = ask_later(simulation.url, "/api/chat", chat("b"))
        wait_for(lambda: simulation.state()["pending"] == 1)
        ask(simulation.url, "/api/chat", chat("a", keep_alive=-1))
    wait_for(lambda: len(simulation.log("generation")) == 2)

    assert simulation.state()["loaded"] == ["a"]
    assert simulation.state()["pending"] == 1
    ask(simulation.url, "/api/chat", {"model": "a", "keep_alive": 0})
    assert waiting.result().status == 200


def test_who_waits_in_line_is_served_while_another_model_is_just_being_loaded(
    start: StartSimulation,
) -> None:
    simulation = start(models=TWO_DO_NOT_FIT, load_s=1, tokens_per_s=0)

    first = ask_later(simulation.url, "/api/chat", chat("a"))
    wait_for(lambda: simulation.state()["loading"] == "a")
    second = ask_later(simulation.url, "/api/chat", chat("b"))
    wait_for(lambda: simulation.state()["pending"] == 2)

    assert (first.result().status, second.result().status) == (200, 200)
    assert [load["model"] for load in simulation.log("load")] == ["a", "b"]


@pytest.mark.parametrize("keep_alive", [0.01, "10ms", 0, "0s"])
def test_a_model_leaves_when_its_keep_alive_is_over(
    start: StartSimulation, keep_alive: object
) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    ask(simulation.url, "/api/chat", chat("chain-a", keep_alive=keep_alive))

    (unload,) = wait_for(lambda: simulation.log("unload"))
    assert (unload["model"], unload["reason"]) == ("chain-a", "expired")


@pytest.mark.parametrize("keep_alive", [-1, "-1m", -0.5])
def test_a_negative_keep_alive_is_for_ever(start: StartSimulation, keep_alive: object) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    ask(simulation.url, "/api/chat", chat("chain-a", keep_alive=keep_alive))

    (model,) = ask(simulation.url, "/api/ps", method="GET").json["models"]
    assert int(model["expires_at"][:4]) > 2300


def test_an_unload_is_answered_at_once_and_done_when_the_model_is_free(
    start: StartSimulation,
) -> None:
    simulation = start(load_s=0, tokens_per_s=0)
    simulation.fault("stall_before", times=1)

    with asked(simulation.url, "/api/chat", chat("chain-a")):
        wait_for(lambda: simulation.state()["peak"] == 1)
        answer = ask(simulation.url, "/api/generate", {"model": "chain-a", "keep_alive": 0})
        assert answer.json["done_reason"] == "unload"
        assert simulation.state()["loaded"] == ["chain-a"]

    (unload,) = wait_for(lambda: simulation.log("unload"))
    assert unload["reason"] == "asked"


def test_ps_lists_the_longest_lived_first(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)
    options = {"num_ctx": 8192}

    ask(simulation.url, "/api/chat", chat("chain-a", keep_alive="1m"))
    ask(simulation.url, "/api/chat", chat("chain-b", keep_alive="1h", options=options))

    models = ask(simulation.url, "/api/ps", method="GET").json["models"]
    assert [(m["name"], m["context_length"]) for m in models] == [
        ("chain-b:latest", 8192),
        ("chain-a:latest", 4096),
    ]


def test_a_load_takes_its_time_and_more_for_a_larger_model(start: StartSimulation) -> None:
    simulation = start(models="a=2GiB", load_s=0.05, load_s_per_gib=0.05, tokens_per_s=0)

    answer = ask(simulation.url, "/api/chat", chat("a", stream=False)).json

    assert simulation.log("load")[0]["seconds"] == pytest.approx(0.15)
    assert 0.15e9 <= answer["load_duration"] <= answer["total_duration"]
