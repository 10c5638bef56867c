"""Clients that ask, think, and ask again; and what lingering is worth to them."""

from collections import Counter

import pytest

from foreman.core.arrivals import Arrival
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.agents import Agents, Crowd
from foreman.simulation.drain.compare import Ground, Outcome, run
from foreman.simulation.drain.fleet import Memory

ONE = Memory(1)
TWO = Crowd(queues=("a", "b"), clients=2, think_s=0.2, service_s=0.5, jobs=15, is_steady=True)


def outcome(
    policy: str, crowd: Crowd = TWO, *, load_s: float = 3.0, linger_s: float | None = None,
    memory: Memory = ONE, is_room_known: bool = True, slots: int = 1,
) -> Outcome:  # fmt: skip
    rules = VisitRules(job_limit_s=10 * crowd.service_s, linger_s=linger_s)
    swap_s = dict.fromkeys(crowd.queues, load_s)
    on = Ground((), rules, swap_s, 1, slots, memory, is_room_known, lambda: Agents(crowd))
    return run(policy, on)[0]


def late(found: Outcome) -> int:
    return sum(each.violations for each in found.for_visits.values())


def test_a_client_asks_again_when_it_has_its_answer_and_has_thought() -> None:
    agents = Agents(TWO)
    first, other = agents.first()

    following = agents.answered(first, 10.0)

    assert (first.at, first.queue, other.queue) == (0.2, "a", "b")
    assert following is not None
    assert (following.at, following.queue) == (10.2, "a")


def test_each_client_sends_its_jobs_and_no_more() -> None:
    agents = Agents(TWO)
    jobs: list[Arrival | None] = [*agents.first()]
    for job in jobs:
        if job is not None:
            jobs.append(agents.answered(job, job.at))

    assert Counter(job.queue for job in jobs if job) == {"a": 15, "b": 15}


def test_what_a_client_asks_does_not_depend_on_how_it_is_served() -> None:
    crowd = Crowd(queues=("a",), clients=1, jobs=3)
    one, other = Agents(crowd), Agents(crowd)
    (first,), (same,) = one.first(), other.first()

    soon, later = one.answered(first, 5.0), other.answered(same, 500.0)

    assert soon is not None
    assert later is not None
    assert later.at - soon.at == pytest.approx(495.0)
    assert later.seconds == soon.seconds


def test_nobody_asks_after_the_span() -> None:
    agents = Agents(Crowd(queues=("a",), clients=1, span_s=10.0, is_steady=True))
    (first,) = agents.first()

    assert agents.answered(first, 9.6) is None


def test_two_agents_of_two_models_get_twice_as_much_done_with_a_third_of_the_loads() -> None:
    crowd = Crowd(queues=("a", "b"), clients=2, think_s=0.5, service_s=3.0, span_s=5000.0)

    ours, ollama = outcome("ours", crowd, load_s=10.0), outcome("ollama", crowd, load_s=10.0)

    assert ours.jobs >= 2 * ollama.jobs
    assert ours.loads <= ollama.loads / 3
    assert late(ours) == 0


def test_two_agents_make_a_third_of_the_loads_from_the_first_minute() -> None:
    crowd = Crowd(
        queues=("a", "b"), clients=2, think_s=0.2, service_s=0.5, span_s=60.0, is_steady=True
    )

    ours, ollama = outcome("ours", crowd), outcome("ollama", crowd)

    assert ours.jobs >= 2 * ollama.jobs
    assert ours.loads <= ollama.loads / 3


def test_clients_that_ask_once_each_lose_two_loads_to_lingering_at_most() -> None:
    queues = tuple(f"model-{number:02}" for number in range(20))
    crowd = Crowd(queues=queues, clients=20, think_s=0.2, service_s=0.5, jobs=1, is_steady=True)

    ours, ollama = outcome("ours", crowd), outcome("ollama", crowd)

    assert ours.loads == ollama.loads == 20
    assert ours.makespan_s == pytest.approx(ollama.makespan_s + 2 * 3.0)


def test_without_lingering_each_job_costs_a_load_as_with_ollama() -> None:
    assert outcome("ours", linger_s=0.0).loads == outcome("ollama").loads == 30
    assert outcome("ours").loads < 10


def test_lingering_stops_where_pauses_are_longer_than_it_pays_for() -> None:
    crowd = Crowd(queues=tuple("abcd"), clients=4, think_s=60.0, service_s=5.0, span_s=20_000.0)

    auto, off = (outcome("ours", crowd, load_s=20.0, linger_s=each) for each in (None, 0.0))

    assert auto.jobs >= 0.98 * off.jobs


@pytest.mark.parametrize("is_room_known", [True, False])
def test_three_models_that_fit_are_loaded_once_each_known_or_not(is_room_known: bool) -> None:
    crowd = Crowd(
        queues=("a", "b", "c"), clients=3, think_s=0.2, service_s=0.5, jobs=15, is_steady=True
    )
    memory = Memory(3, 24, dict.fromkeys("abc", 4))

    ours = outcome("ours", crowd, memory=memory, slots=2, is_room_known=is_room_known)
    direct = outcome("ollama", crowd, memory=memory, slots=2)

    assert (ours.loads, ours.swaps) == (3, 0)
    assert ours.makespan_s <= 1.1 * direct.makespan_s
    assert outcome("fifo", crowd, memory=memory, slots=2).loads == 45
