"""Loads on a simulated Ollama with room for several residents, and what is reported of them."""

import math
from collections.abc import Iterator

import pytest

from foreman.adapters import memory
from foreman.core.queues import Residency
from foreman.errors import LoadFailed, LoadRefused, TargetUnreachable
from foreman.simulation.process import SimulationProcess
from foreman.worker import loading
from foreman.worker.effects import LoadModel
from foreman.worker.events import Loaded, LoadEnded
from foreman.worker.loading import Loader
from tests.unit.worker.simulated_ollama import EMBED, GIB, LEASE, A, B, C, runtime_of, simulated


@pytest.fixture
def simulation() -> Iterator[SimulationProcess]:
    with simulated() as process:
        yield process


@pytest.fixture
def loader(simulation: SimulationProcess) -> Iterator[Loader]:
    with runtime_of(simulation.url) as runtime:
        yield Loader(runtime)


def report(loader: Loader, model: str, options: str = "", **changes: object) -> Loaded | LoadEnded:
    residency = Residency(model, options)
    values: dict[str, object] = {"victims": (), "may_go": (), **changes}
    effect = LoadModel(lease=LEASE, queue=residency.queue, residency=residency, **values)  # type: ignore[arg-type]  # mypy does not know the fields' names
    return loader.load(effect)


def load(loader: Loader, model: str, options: str = "", **changes: object) -> Loaded:
    loaded = report(loader, model, options, **changes)
    assert isinstance(loaded, Loaded)
    return loaded


def test_a_model_is_loaded_next_to_what_is_there(loader: Loader) -> None:
    first = load(loader, A)
    second = load(loader, B)

    assert (first.lease, first.queue) == (LEASE, "model.a%3Alatest")
    assert (first.before, first.after) == ({}, {A: 2 * GIB})
    assert (second.before, second.after) == ({A: 2 * GIB}, {A: 2 * GIB, B: 2 * GIB})
    assert not second.was_loaded
    assert second.cost_s >= 0.05


def test_victims_are_gone_before_the_load_begins(
    loader: Loader, simulation: SimulationProcess
) -> None:
    load(loader, A)
    load(loader, B)
    simulation.clear()

    loaded = load(loader, C, victims=(A,))

    assert loaded.before == {B: 2 * GIB}
    assert loaded.after == {B: 2 * GIB, C: 2 * GIB}
    events = [(each["event"], each.get("model")) for each in simulation.log()]
    assert events.index(("unload", "a")) < events.index(("load", "c"))


def test_what_the_target_itself_unloads_is_seen_by_what_is_listed_after(loader: Loader) -> None:
    load(loader, A)
    load(loader, B)

    loaded = load(loader, C, may_go=(A, B))

    assert loaded.before == {A: 2 * GIB, B: 2 * GIB}
    assert loaded.after is not None
    assert len(loaded.after) == 2
    assert C in loaded.after


def test_a_model_that_is_there_is_no_load(loader: Loader, simulation: SimulationProcess) -> None:
    load(loader, A)
    simulation.clear()

    again = load(loader, A)

    assert again.was_loaded
    assert simulation.log("load") == []


def test_a_model_that_is_there_with_other_options_is_loaded_again(
    loader: Loader, simulation: SimulationProcess
) -> None:
    load(loader, A)
    load(loader, B)
    simulation.clear()

    other = load(loader, A, '{"num_ctx":8192}', may_go=(A,))

    assert not other.was_loaded
    assert other.before == {B: 2 * GIB}  # it was on its way out: that says nothing of the room
    assert [each["model"] for each in simulation.log("load")] == ["a"]


def test_what_ran_out_during_the_load_says_nothing_of_the_room() -> None:
    with simulated(load_s=1.5) as slow, runtime_of(slow.url) as runtime:
        loader = Loader(runtime)
        load(loader, A, keep_alive_s=1.0)
        loaded = load(loader, B)

    assert loaded.before == {}
    assert loaded.after == {B: 2 * GIB}


@pytest.mark.parametrize(("keep_alive_s", "least_s"), [(90.0, 80), (math.inf, 1e6), (None, 200)])
def test_a_model_stays_loaded_for_as_long_as_is_said(
    loader: Loader, simulation: SimulationProcess, keep_alive_s: float | None, least_s: float
) -> None:
    load(loader, A, keep_alive_s=keep_alive_s)

    with runtime_of(simulation.url) as runtime:
        left_s = memory.loaded_models(runtime.targets["gpu"])[A].expires_in_s

    assert least_s <= left_s
    assert keep_alive_s is None or left_s <= keep_alive_s + 2


def test_an_embedding_model_is_loaded_by_its_own_route(loader: Loader) -> None:
    assert load(loader, EMBED).after == {EMBED: GIB}


def test_a_model_that_the_target_does_not_have_is_refused(loader: Loader) -> None:
    ended = report(loader, "gone:latest")

    assert isinstance(ended, LoadEnded)
    assert isinstance(ended.error, LoadRefused)
    assert "not found" in str(ended.error)


def test_a_load_that_the_target_cannot_do_has_failed_in_its_words(
    loader: Loader, simulation: SimulationProcess
) -> None:
    simulation.fault("error500", path="/api/generate")

    ended = report(loader, A)

    assert isinstance(ended, LoadEnded)
    assert isinstance(ended.error, LoadFailed)
    assert str(ended.error).startswith("a:latest was not loaded: ")


def test_a_victim_that_is_no_model_of_the_target_does_not_hold_up_the_load(loader: Loader) -> None:
    assert load(loader, A, victims=("gone:latest",)).after == {A: 2 * GIB}


def test_a_victim_that_does_not_go_is_waited_for_no_longer_than_its_limit(
    loader: Loader, simulation: SimulationProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "UNLOAD_LIMIT_S", 0.1)
    monkeypatch.setattr(loading, "_unload", lambda client, model: True)  # somebody else keeps it
    load(loader, A)

    loaded = load(loader, B, victims=(A,))

    assert loaded.before == {}  # nobody knows whether it stayed by itself
    assert loaded.after == {A: 2 * GIB, B: 2 * GIB}


def test_a_target_that_is_away_has_failed_the_load() -> None:
    with runtime_of("http://127.0.0.1:9") as runtime:
        ended = report(Loader(runtime), A)

    assert isinstance(ended, LoadEnded)
    assert isinstance(ended.error, TargetUnreachable)


def test_a_defect_is_reported_too(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(loading, "_request_load", fail)

    ended = report(loader, A)

    assert isinstance(ended, LoadEnded)
    assert isinstance(ended.error, LoadFailed)
    assert "a defect" not in str(ended.error)


def test_a_target_that_does_not_list_what_it_has_is_left_to_make_room_itself(
    loader: Loader, simulation: SimulationProcess
) -> None:
    simulation.fault("error500", path="/api/ps")

    loaded = load(loader, A, victims=(B,))

    assert (loaded.before, loaded.after) == (None, None)
