"""Promises and forecasts over all queues: the numbers, and that their work comes in pieces."""

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from foreman.core.outlook import Cost
from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting
from foreman.parsing import TargetSpec
from foreman.scheduling.bound import longest_turn
from foreman.scheduling.prospect import Promise, Prospect, RunTimes
from foreman.scheduling.values import VisitRules
from foreman.services.prospects import Promises, prospects
from foreman.store.queue_rows import Lingers, QueueFacts, ResidentState, TargetState

RULES = VisitRules(min_visit_swaps=10)
NOW = 1000.0
T = TypeVar("T")


def resident(queue: str, **changes: object) -> ResidentState:
    state = ResidentState(queue, queue, 4, False, False, dwell_s=1.0)
    return replace(state, **changes)  # type: ignore[arg-type]  # mypy does not know the fields' names


def target(name: str, *loaded: str | ResidentState, **changes: object) -> TargetState:
    state = TargetState(
        name=name,
        slots=1,
        is_live=True,
        sick_reason=None,
        reason=None,
        residents=[resident(each) if isinstance(each, str) else each for each in loaded],
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # mypy does not know the fields' names


def spec(name: str, **options: Any) -> TargetSpec:
    return TargetSpec(name=name, url=f"http://{name}", slots=1, **options)


def waiting(
    queue: str, *, wait_s: float = 1.0, count: int = 1, pinned: str | None = None
) -> Waiting:
    return Waiting(queue, JobClass.INTERACTIVE, pinned, queue, wait_s, count)


def runs(**means: float) -> dict[str, RunTimes]:
    return {queue: RunTimes(mean, mean, mean) for queue, mean in means.items()}


def many(residencies: int) -> QueueFacts:
    rows = [waiting(f"q{number}", wait_s=number, count=3) for number in range(residencies)]
    times = {row.queue: RunTimes(5.0, 9.0, 6.0, 0.001) for row in rows}
    targets = [target("a", "q1", "q2"), target("b"), target("c")]
    return QueueFacts(rows, targets, times, NOW)


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


def whole(
    facts: QueueFacts,
    *having: str,
    specs: tuple[TargetSpec, ...] = (),
    made: Promises | None = None,
) -> Prospect:
    work = prospects(facts, RULES, specs, lambda model: having or ("a", "b", "c"), made or {})
    return pieces(work)[0]


def bound_s(prospect: Prospect, queue: str) -> float | None:
    report = next(each for each in prospect.queue_reports if each.queue == queue)
    return report.bound_s.get(JobClass.INTERACTIVE)


def test_no_piece_of_the_work_is_a_large_part_of_it() -> None:
    _, took = pieces(prospects(many(200), RULES, (), lambda model: ("a", "b", "c"), {}))

    assert len(took) >= 7
    assert sorted(took)[-2] < sum(took) / 2  # one may meet the garbage collector


def test_twice_as_many_residencies_cost_about_twice_as_much() -> None:
    def cost_s(residencies: int) -> float:
        return min(
            sum(pieces(prospects(many(residencies), RULES, (), lambda model: ("a", "b"), {}))[1])
            for _ in range(5)
        )

    cost_s(50)
    assert cost_s(400) < 3 * cost_s(200)


def test_the_promise_counts_who_has_gone_unserved_for_longer_and_the_residents() -> None:
    costs = {"q1": Cost(4.0, None), "q2": Cost(8.0, 7.0), "q3": Cost(6.0, None)}
    facts = QueueFacts(
        [waiting("q1", wait_s=9), waiting("q2", wait_s=9)],
        [target("a", "q3", costs=costs)],
        {},
        NOW,
    )

    prospect = whole(facts)

    turn_s = longest_turn(RULES, [4.0, 8.0, 6.0], places=None).seconds
    assert bound_s(prospect, "q1") == pytest.approx(30 - 9 + turn_s + 4.0)
    # Its last visit ended 7 s ago: the other one has waited for longer.
    assert bound_s(prospect, "q2") == pytest.approx(30 - 9 + 2 * turn_s + 8.0)
    assert bound_s(prospect, "q3") is None


def test_where_one_model_is_loaded_at_a_time_a_turn_is_one_load() -> None:
    facts = QueueFacts([waiting("q1", wait_s=0)], [target("a", "q2")], {}, NOW)

    several, one = whole(facts), whole(facts, specs=(spec("a", residents=1),))

    # Neither was measured: 10 s are taken for each.
    assert bound_s(one, "q1") == pytest.approx(30 + (10 + 100 + 1800) + 10)
    assert bound_s(several, "q1") == pytest.approx(30 + (20 + 100 + 1800) + 10)


def test_a_promise_never_grows_while_the_same_job_waits_and_is_made_anew_for_the_next() -> None:
    first = QueueFacts([waiting("q1")], [target("a", "q2")], {}, NOW)
    made = whole(first).promises
    slower = [target("a", "q2", costs={"q2": Cost(60.0, None)})]

    def after(passed_s: float, wait_s: float) -> Promise:
        facts = QueueFacts([waiting("q1", wait_s=wait_s)], slower, {}, NOW + passed_s)
        return whole(facts, made=made).promises["q1", JobClass.INTERACTIVE]

    assert after(5, wait_s=6) == made["q1", JobClass.INTERACTIVE]
    assert after(5, wait_s=6.2) == made["q1", JobClass.INTERACTIVE]  # times are not exact
    assert after(5, wait_s=1).by > made["q1", JobClass.INTERACTIVE].by + 60


def test_a_smaller_promise_replaces_a_larger_one() -> None:
    far = Promise(NOW + 1e6, NOW - 1, float("-inf"))
    facts = QueueFacts([waiting("q1")], [target("a", "q2")], {}, NOW)

    prospect = whole(facts, made={("q1", JobClass.INTERACTIVE): far})

    assert prospect.promises["q1", JobClass.INTERACTIVE].by < NOW + 1e4


def test_a_residency_that_was_visited_meanwhile_has_a_new_promise() -> None:
    low = Promise(NOW + 1, NOW - 9, float("-inf"))
    facts = QueueFacts(
        [waiting("q1", wait_s=9)], [target("a", "q2", costs={"q1": Cost(4.0, 2.0)})], {}, NOW
    )

    prospect = whole(facts, made={("q1", JobClass.INTERACTIVE): low})

    assert prospect.promises["q1", JobClass.INTERACTIVE].by > NOW + 1000


def test_a_queue_starts_where_it_starts_first() -> None:
    facts = QueueFacts(
        [waiting("q1", count=2), waiting("q2")],
        [target("a", "q1"), target("b", "q2")],
        runs(q1=5.0),
        NOW,
    )

    prospect = whole(facts)

    assert prospect.eta("q1", 1).p50_s == 5.0
    assert prospect.eta("q1", 1).p90_s > 5.0
    assert prospect.eta("q2", 0).p50_s == 0.0
    assert prospect.drained_s == {"q1": 5.0, "q2": 0.0}


def test_several_residents_are_served_at_once_and_a_third_takes_the_place_that_is_free_first() -> (
    None
):
    rows = [waiting("q1", count=4), waiting("q2"), waiting("q3")]
    facts = QueueFacts(rows, [target("a", "q1", "q2")], runs(q1=5.0, q2=5.0, q3=5.0), NOW)

    prospect = whole(facts)

    assert prospect.eta("q1", 0).p50_s == prospect.eta("q2", 0).p50_s == 0.0
    # After q2's run it lingers for as long as the load of q3 takes (10 s), and then is replaced.
    assert prospect.eta("q3", 0).p50_s == pytest.approx(5 + 20)


def test_what_another_target_has_loaded_is_foreseen_there_alone() -> None:
    facts = QueueFacts([waiting("q1")], [target("a", "q1"), target("b")], runs(q1=5.0), NOW)

    prospect = whole(facts)

    assert prospect.eta("q1", 0, pinned="a").p50_s == 0.0
    assert prospect.eta("q1", 0, pinned="b").p50_s == float("inf")


def test_jobs_for_one_target_are_foreseen_and_promised_there_alone() -> None:
    facts = QueueFacts(
        [waiting("q1", pinned="b")], [target("a"), target("b", "q2")], runs(q1=5.0), NOW
    )

    prospect = whole(facts)

    assert prospect.eta("q1", 0, pinned="b").p50_s == 10.0
    assert prospect.eta("q1", 0, pinned="a").p50_s == float("inf")
    assert prospect.queue_reports[0].why.startswith("b: ")


def test_targets_that_are_sick_or_driven_by_nobody_are_no_prospect() -> None:
    facts = QueueFacts(
        [waiting("q1")],
        [target("a", is_live=False), target("b", sick_reason="it hangs")],
        {},
        NOW,
    )

    prospect = whole(facts)

    assert prospect.eta("q1", 0).p50_s == float("inf")
    assert prospect.queue_reports[0].why == "no live target has its model"
    assert prospect.queue_reports[0].bound_s == {}
    assert prospect.drained_s == {"q1": float("inf")}


def test_a_target_is_reported_with_its_residents_what_it_loads_and_its_room() -> None:
    state = target(
        "a",
        resident("q1", is_pinned=True, running=2),
        resident("q2", is_loading=True),
        room={"sizes": {"q1": 4}, "seen_count": 2, "seen_bytes": 8, "clashes": [[3, 12]]},
        lingers=Lingers(5, 3, 7.5),
    )

    (report,) = whole(
        QueueFacts([], [state], {}, NOW), specs=(spec("a", memory_bytes=10),)
    ).target_reports

    assert [(each.queue, each.is_pinned, each.running) for each in report.residents] == [
        ("q1", True, 2)
    ]
    assert [each.queue for each in report.loading] == ["q2"]
    assert (report.room.memory_bytes, report.room.seen_count, report.room.sizes) == (
        10,
        2,
        {"q1": 4},
    )
    assert (report.lingers, report.lingers_answered, report.linger_wasted_s) == (5, 3, 7.5)
