"""The swaps that first in, first out would have made, counted from jobs served in any order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from foreman.core.ledger import FifoCount, Swaps

traces = st.lists(st.sampled_from("abcd"), max_size=60)


def told(count: FifoCount, *jobs: tuple[str, float]) -> FifoCount:
    for queue, came_at in jobs:
        count.served(queue, came_at=came_at, swap_s=5.0)
    return count


def changes(trace: list[str]) -> int:
    """Swaps of first in, first out, written down directly: the first load, then each change."""
    return bool(trace) + sum(before != after for before, after in pairwise(trace))


def test_each_change_of_residency_in_order_of_arrival_is_a_swap() -> None:
    count = told(FifoCount(), ("a", 1), ("b", 2), ("b", 3), ("a", 4))

    assert count.settle() == Swaps(3, 15.0)


def test_jobs_served_by_residency_are_counted_by_arrival() -> None:
    count = told(FifoCount(), ("a", 1), ("a", 3), ("a", 5), ("b", 2), ("b", 4))

    assert count.settle().count == 5


def test_what_is_loaded_already_needs_no_swap() -> None:
    assert told(FifoCount(resident="a"), ("a", 1)).settle().count == 0


def test_a_job_waits_in_the_count_for_those_that_came_before_it() -> None:
    count = told(FifoCount(), ("a", 1), ("a", 3))

    assert count.settle(oldest_waiting_at=2).count == 1
    assert told(count, ("b", 2)).settle().count == 2


def test_each_swap_is_told_once() -> None:
    count = told(FifoCount(), ("a", 1))

    assert count.settle().count == 1
    assert count.settle() == Swaps(0, 0.0)


def test_a_swap_costs_what_the_residency_was_estimated_to_cost() -> None:
    count = FifoCount()
    count.served("a", came_at=1, swap_s=7.5)
    count.served("b", came_at=2, swap_s=30.0)

    assert count.settle().cost_s == 37.5


def test_a_job_older_than_what_was_counted_adds_nothing() -> None:
    count = told(FifoCount(), ("a", 1), ("a", 3))
    count.settle()

    assert told(count, ("b", 2)).settle().count == 0


@given(trace=traces, data=st.data())
def test_any_order_of_service_gives_the_swaps_of_the_order_of_arrival(
    trace: list[str], data: st.DataObject
) -> None:
    jobs = [(queue, float(at)) for at, queue in enumerate(trace)]
    order = data.draw(st.permutations(jobs))

    assert told(FifoCount(), *order).settle().count == changes(trace)


@given(trace=traces, data=st.data(), window=st.integers(1, 8))
def test_settled_again_and_again_with_what_still_waits_it_stays_exact(
    trace: list[str], data: st.DataObject, window: int
) -> None:
    order = data.draw(st.permutations(list(enumerate(trace))))
    count, counted = FifoCount(), 0
    for served in range(0, len(order), window):
        for at, queue in order[served : served + window]:
            count.served(queue, came_at=at, swap_s=1.0)
        waiting = [at for at, _ in order[served + window :]]
        counted += count.settle(min(waiting, default=float("inf"))).count

    assert counted == changes(trace)


@given(trace=traces, data=st.data(), window=st.integers(1, 8))
def test_beyond_its_window_the_count_is_too_low_and_never_too_high(
    trace: list[str], data: st.DataObject, window: int
) -> None:
    jobs = [(queue, float(at)) for at, queue in enumerate(trace)]
    order = data.draw(st.permutations(jobs))

    assert told(FifoCount(window=window), *order).settle().count <= changes(trace)
