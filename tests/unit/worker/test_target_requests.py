"""What a worker asks of its target besides loads, on a simulated Ollama."""

import time
from collections.abc import Iterator

import pytest

from foreman.adapters import memory
from foreman.runtime import WorkerRuntime
from foreman.simulation.process import SimulationProcess
from foreman.worker import target_requests
from foreman.worker.effects import KeepLoaded, Observe, Probe
from foreman.worker.target_requests import TargetRequests
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.unit.worker.simulated_ollama import EMBED, GIB, LEASE, A, B, runtime_of, simulated


@pytest.fixture
def simulation() -> Iterator[SimulationProcess]:
    with simulated(keep_alive_s=30) as process:
        yield process


@pytest.fixture
def runtime(simulation: SimulationProcess) -> Iterator[WorkerRuntime]:
    with runtime_of(simulation.url) as runtime:
        yield runtime


@pytest.fixture
def requests(runtime: WorkerRuntime) -> TargetRequests:
    return TargetRequests(runtime)


def test_what_is_loaded_is_observed_with_its_size_and_how_long_it_stays(
    requests: TargetRequests, runtime: WorkerRuntime
) -> None:
    for model in (A, EMBED):
        memory.ask(runtime.targets["gpu"], model, {"keep_alive": "90s"})
    asked_at = time.monotonic()

    observed = requests.observe(Observe(LEASE))

    assert observed.listed is not None
    assert {each.model: each.size_bytes for each in observed.listed.values()} == {
        A: 2 * GIB, EMBED: GIB,
    }  # fmt: skip
    assert 80 < observed.listed[A].expires_in_s <= 92
    assert asked_at <= observed.began_at <= time.monotonic()


def test_a_target_that_does_not_say_what_it_has_was_observed_in_vain(
    requests: TargetRequests, simulation: SimulationProcess
) -> None:
    simulation.fault("error500", path="/api/ps")

    assert requests.observe(Observe(LEASE)).listed is None


def test_a_loaded_model_stays_for_longer(requests: TargetRequests, runtime: WorkerRuntime) -> None:
    memory.ask(runtime.targets["gpu"], A, {})

    requests.keep_loaded(KeepLoaded(LEASE, A, 900.0))
    requests.keep_loaded(KeepLoaded(LEASE, B, float("inf")))

    listed = requests.observe(Observe(LEASE)).listed
    assert listed is not None
    assert 880 < listed[A].expires_in_s <= 902
    assert listed[B].expires_in_s > 1e6


def test_a_model_that_is_not_there_is_not_kept_and_nothing_fails(requests: TargetRequests) -> None:
    requests.keep_loaded(KeepLoaded(LEASE, "gone:latest", 900.0))

    assert requests.observe(Observe(LEASE)).listed == {}


def test_a_stay_that_turns_out_to_be_a_load_is_given_up_and_holds_up_nobody(
    requests: TargetRequests,
    runtime: WorkerRuntime,
    simulation: SimulationProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_requests, "KEEP_LIMIT_S", 0.3)
    simulation.fault("wedge", path="/api/generate", times=1)
    began_at = time.monotonic()

    for _ in range(50):  # so many may have piled up behind it
        requests.keep_loaded(KeepLoaded(LEASE, A, 900.0))

    assert time.monotonic() - began_at < 10
    assert memory.loaded_models(runtime.targets["gpu"]) == {}


def test_a_target_that_works_gives_a_token(requests: TargetRequests) -> None:
    assert requests.probe(Probe(LEASE, A)).why is None


@pytest.mark.parametrize("model", ["", "gone:latest", EMBED])
def test_a_target_that_answers_with_a_refusal_works(requests: TargetRequests, model: str) -> None:
    assert requests.probe(Probe(LEASE, model)).why is None


def test_a_target_that_fails_says_how(
    requests: TargetRequests, simulation: SimulationProcess
) -> None:
    simulation.fault("error500")

    assert requests.probe(Probe(LEASE, A)).why == "it answered 500"


def test_a_target_that_hangs_is_given_up_after_its_silence() -> None:
    with simulated() as process, runtime_of(process.url, silence_s=0.5) as runtime:
        process.fault("wedge")
        probed = TargetRequests(runtime).probe(Probe(LEASE, A))
        process.end_faults()

    assert probed.why is not None
    assert "0.5 s" in probed.why


@pytest.mark.parametrize(("size_vram", "size_bytes"), [(5, 5), (0, 9), (None, 9)])
def test_what_counts_is_video_memory_and_where_there_is_none_the_whole_size(
    size_vram: int | None, size_bytes: int
) -> None:
    entry = {"name": "a", "size": 9, "size_vram": size_vram, "expires_at": "2030-01-01T00:00:00Z"}
    target = ScriptedTarget(lambda asked: Reply(), loaded=[entry])

    with target, runtime_of(target.url) as runtime:
        observed = TargetRequests(runtime).observe(Observe(LEASE))

    assert observed.listed is not None
    assert observed.listed[A].size_bytes == size_bytes
