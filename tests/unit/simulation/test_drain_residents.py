"""Several residents in the simulation: Ollama's own order, ours, and the room that both share."""

from dataclasses import replace

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain import versus
from foreman.simulation.drain.arrivals import SHAPES, Load
from foreman.simulation.drain.compare import Ground, Outcome, ground, run
from foreman.simulation.drain.fleet import Memory
from foreman.simulation.drain.tally import Tally, Visit
from tests.unit.simulation.watched import watch

SWAP_S = 5.0
RULES = VisitRules(job_limit_s=20.0)


def jobs(text: str, *, every_s: float = 0.1, run_s: float = 10.0) -> list[Arrival]:
    """A job for each letter."""
    return [
        Arrival(number * every_s, letter, JobClass.INTERACTIVE, run_s)
        for number, letter in enumerate(text)
    ]


def played(policy: str, arrivals: list[Arrival], memory: Memory) -> tuple[Outcome, Tally]:
    on = ground(arrivals, RULES, swap_s=SWAP_S, memory=memory)
    return run(policy, on, keep=1000)


def order(tally: Tally) -> str:
    visits = sorted(tally.visits, key=lambda each: each.swap_at)
    return "".join(each.queue for each in visits)


def overlap(one: Visit, other: Visit) -> bool:
    return one.began_at < other.ended_at and other.began_at < one.ended_at


@pytest.mark.parametrize("policy", ["ollama", "ours", "drain"])
def test_models_that_fit_are_loaded_next_to_each_other_and_run_together(policy: str) -> None:
    found, tally = played(policy, jobs("abab"), Memory(2))

    assert (found.loads, found.swaps) == (2, 0)
    one, other = tally.visits
    assert overlap(one, other)
    assert {one.place, other.place} == {0, 1}


def test_the_place_is_limited_by_memory_too() -> None:
    found, _ = played("ollama", jobs("abab", run_s=1.0), Memory(3, 10, {"a": 6, "b": 6}))

    assert found.swaps == found.loads - 1 == 3


def test_ollamas_victim_is_the_first_idle_model_by_name() -> None:
    arrivals = [*jobs("ba", run_s=1.0), Arrival(60.0, "c", JobClass.INTERACTIVE, 1.0)]

    _, tally = played("ollama", arrivals, Memory(2))

    assert {each.queue for each in tally.visits if each.ended_at == 60.0} == {"a"}


def test_ollamas_line_is_blocked_by_its_first_while_a_busy_victim_admits_requests() -> None:
    # a is the victim since none is idle; b falls idle at once, and c still waits for a.
    arrivals = [
        Arrival(0.0, "a", JobClass.INTERACTIVE, 30.0),
        Arrival(0.1, "b", JobClass.INTERACTIVE, 5.0),
        Arrival(12.0, "c", JobClass.INTERACTIVE, 1.0),
        Arrival(20.0, "a", JobClass.INTERACTIVE, 30.0),
    ]

    _, tally = played("ollama", arrivals, Memory(2))

    began = {each.queue: each.began_at for each in tally.visits}
    assert began["c"] == 5.0 + 30.0 + 30.0 + SWAP_S


def test_ours_does_not_wait_for_long_for_a_busy_model_while_another_is_idle() -> None:
    arrivals = [
        Arrival(0.0, "a", JobClass.INTERACTIVE, 60.0),
        Arrival(0.1, "b", JobClass.INTERACTIVE, 5.0),
        Arrival(12.0, "c", JobClass.INTERACTIVE, 1.0),
    ]

    _, tally = played("ours", arrivals, Memory(2))

    began = {each.queue: each.began_at for each in tally.visits}
    # b answered at 15 s; with one job in 15 s it is not worth that c waits.
    assert began["c"] == pytest.approx(15.0 + SWAP_S)


@pytest.mark.parametrize("places", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rho", [0.7, 1.5])
def test_all_promises_hold_on_long_traces(shape: str, rho: float, places: int) -> None:
    load = Load(jobs=500, models=7, rho=rho, burst_jobs=150, seed=7)
    load_s = dict.fromkeys(load.queues, SWAP_S)

    watched = watch(list(SHAPES[shape](load)), RULES, load_s, Memory(places))

    assert sum(watched.tally.violations.values()) == 0


@pytest.mark.parametrize("is_room_known", [True, False])
def test_all_promises_hold_with_models_of_different_sizes(is_room_known: bool) -> None:
    load = Load(jobs=700, models=6, rho=1.2, seed=3)
    sizes = dict(zip(load.queues, (3, 5, 8, 12, 3, 9), strict=True))
    load_s = {queue: 1.0 + size for queue, size in sizes.items()}
    arrivals = list(SHAPES["poisson"](load))
    room = Memory(3, 16, sizes)

    watched = watch(arrivals, RULES, load_s, room, is_room_known=is_room_known)

    assert 0 < watched.policy.tries < 30 or is_room_known


def test_the_room_that_is_learned_is_tried_seldom_and_then_used() -> None:
    load = Load(jobs=400, models=3, rho=0.7, seed=2)
    arrivals = list(SHAPES["poisson"](load))

    watched = watch(
        arrivals, RULES, dict.fromkeys(load.queues, SWAP_S), Memory(3), is_room_known=False
    )

    assert len(watched.visits) == 3
    assert watched.policy.tries == 2


@pytest.mark.parametrize("places", [1, 3])
def test_the_same_arrivals_are_served_the_same_way_each_time(places: int) -> None:
    arrivals = list(SHAPES["poisson"](Load(jobs=400, rho=0.95)))

    one, same = (played("ours", arrivals, Memory(places))[1].visits for _ in range(2))

    assert one == same


def test_a_burst_for_four_models_costs_a_load_each() -> None:
    patient = VisitRules(600.0, 600.0)
    for seed in range(1, 6):
        load = Load(jobs=120, burst_jobs=120, service_s=0.5, seed=seed)
        on = ground(list(SHAPES["bursts"](load)), patient, swap_s=1.0)
        ours, ollama = run("ours", on)[0], run("ollama", on)[0]

        least_s = 4 * 1.0 + sum(each.seconds for each in on.arrivals)
        assert ours.makespan_s <= 1.03 * least_s
        assert ours.loads == 4
        assert ollama.loads > 40


def test_batch_jobs_wait_no_more_than_twice_as_long_as_without_a_bound_at_high_load() -> None:
    on = ground(list(SHAPES["poisson"](Load(jobs=20_000, rho=0.95))), RULES, swap_s=SWAP_S)
    at_10 = replace(on, rules=replace(on.rules, min_visit_swaps=10.0))

    ours, drain = (run(each, on)[0] for each in ("ours", "drain"))
    fixed = run("ours", at_10)[0]

    p95_s = [each.waits[JobClass.BATCH].p95_s for each in (ours, drain, fixed)]
    assert p95_s[0] <= 2 * p95_s[1] < p95_s[2]
    assert sum(each.violations for each in ours.for_visits.values()) == 0


def test_ours_loads_no_more_than_ollama_does_and_its_jobs_wait_no_longer() -> None:
    found = list(versus.cases(2, VisitRules(), is_room_known=True))

    assert [each for each in found if each.is_missed] == []
    assert "missed" in versus.as_text(found)


def test_the_ground_is_not_changed_by_a_run() -> None:
    on: Ground = ground(jobs("abc"), RULES, swap_s=SWAP_S)

    assert run("ours", on)[0].waits == run("ours", on)[0].waits
