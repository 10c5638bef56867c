"""Forecasts over all queues: the numbers, and that their work comes in small pieces."""

import time
from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import pytest

from foreman.core.drain import Rules, wait_bound_s
from foreman.core.outlook import Cost
from foreman.core.prospect import Prospect, RunTimes
from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting
from foreman.services.prospects import prospects
from foreman.store.queue_rows import QueueFacts, TargetState

RULES = Rules()
T = TypeVar("T")


def target(name: str, resident: str | None = None, **changes: object) -> TargetState:
    state = TargetState(
        name=name,
        slots=1,
        is_live=True,
        resident_queue=resident,
        dwell_s=1.0,
        loading_queue=None,
        sick_reason=None,
        reason=None,
        running=0,
        costs={},
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # mypy does not know the fields' names


def waiting(queue: str, *, wait_s: float = 1.0, count: int = 1) -> Waiting:
    return Waiting(queue, JobClass.INTERACTIVE, None, "m", wait_s, count)


def many(residencies: int) -> QueueFacts:
    rows = [waiting(f"q{number}", wait_s=number, count=3) for number in range(residencies)]
    runs = {row.queue: RunTimes(5.0, 9.0) for row in rows}
    return QueueFacts(rows, [target("a", "q1"), target("b"), target("c")], runs)


def pieces(work: Generator[None, None, T]) -> tuple[T, list[float]]:
    """What it returns, and the CPU seconds of each piece."""
    took: list[float] = []
    while True:
        began_at = time.thread_time()
        try:
            next(work)
        except StopIteration as end:
            return end.value, [*took, time.thread_time() - began_at]
        took.append(time.thread_time() - began_at)


def whole(facts: QueueFacts, *having: str) -> Prospect:
    return pieces(prospects(facts, RULES, lambda model: having or ("a", "b", "c")))[0]


def test_no_piece_of_the_work_is_a_large_part_of_it() -> None:
    _, took = pieces(prospects(many(200), RULES, lambda model: ("a", "b", "c")))

    assert len(took) > 200
    # One of a dozen may meet the garbage collector.
    assert sorted(took)[-5] < sum(took) / 20


def test_twice_as_many_residencies_cost_about_twice_as_much() -> None:
    def cost_s(residencies: int) -> float:
        return min(
            sum(pieces(prospects(many(residencies), RULES, lambda model: ("a", "b", "c")))[1])
            for _ in range(3)
        )

    cost_s(50)
    assert cost_s(200) < 3 * cost_s(100)


def test_the_bound_counts_every_other_residency_of_the_target_once() -> None:
    costs = {"q1": Cost(4.0, None), "q2": Cost(8.0, None)}
    facts = QueueFacts([waiting("q1"), waiting("q2")], [target("a", "q3", costs=costs)], {})

    report = next(each for each in whole(facts).reports if each.queue == "q1")

    for job_class in JobClass:
        # q3 was never measured: as long as the others are on average.
        expected = wait_bound_s(RULES, job_class, swap_s=4.0, others_swap_s=[8.0, 6.0])
        assert report.bound_s[job_class] == pytest.approx(expected)


def test_a_queue_starts_where_it_starts_first() -> None:
    facts = QueueFacts(
        [waiting("q1", count=2), waiting("q2")],
        [target("a", "q1"), target("b", "q2")],
        {"q1": RunTimes(5.0, 9.0)},
    )

    prospect = whole(facts)

    assert prospect.eta_s("q1", 1, is_p90=False) == 5.0
    assert prospect.eta_s("q1", 1, is_p90=True) == 9.0
    assert prospect.eta_s("q2", 0, is_p90=False) == 0.0
    assert prospect.eta_s("q2", 0, is_p90=False, pinned="a") == 20.0  # two runs, a swap
    assert prospect.drained_s == {"q1": 5.0, "q2": 0.0}


def test_targets_that_are_sick_or_driven_by_nobody_are_no_prospect() -> None:
    facts = QueueFacts(
        [waiting("q1")],
        [target("a", is_live=False), target("b", sick_reason="it hangs")],
        {},
    )

    prospect = whole(facts)

    assert prospect.eta_s("q1", 0, is_p90=False) is None
    assert prospect.reports[0].why == "no live target has its model"
    assert prospect.drained_s == {"q1": float("inf")}
