"""Forecasts: the policy run ahead over what waits now."""

from collections.abc import Sequence

import pytest

from foreman.core import forecast
from foreman.core.drain import Line, Rules
from foreman.core.forecast import Backlog, Standing, Stay, eta_s

RULES = Rules(max_wait_interactive_s=30, max_wait_batch_s=600, kappa=10)
IDLE = Standing(resident=None, dwell_s=0, swap_in_s=0, running=0, slots=1)


def foresee(rules: Rules, standing: Standing, backlogs: Sequence[Backlog]) -> list[Stay]:
    """All visits at once."""
    return list(forecast.foresee(rules, standing, backlogs))


def backlog(
    queue: str,
    *,
    count: int = 1,
    run_s: float = 2,
    waited_s: float = 0,
    swap_s: float = 5,
    is_elsewhere: bool = False,
) -> Backlog:
    return Backlog(Line(queue, waited_s, None, swap_s, float("inf"), is_elsewhere), count, run_s)


def resident(queue: str, *, dwell_s: float = 0, running: int = 0, slots: int = 1) -> Standing:
    return Standing(queue, dwell_s=dwell_s, swap_in_s=5, running=running, slots=slots)


def test_nothing_that_waits_is_nothing_to_foresee() -> None:
    assert foresee(RULES, IDLE, []) == []


def test_on_an_idle_target_a_job_starts_after_its_swap() -> None:
    assert foresee(RULES, IDLE, [backlog("a", swap_s=7)]) == [Stay("a", 7, 1)]


def test_on_the_resident_it_starts_at_once() -> None:
    assert foresee(RULES, resident("a"), [backlog("a")]) == [Stay("a", 0, 1)]


def test_on_a_full_target_it_starts_after_half_a_run() -> None:
    full = resident("a", running=1)

    assert foresee(RULES, full, [backlog("a", run_s=4)]) == [Stay("a", 2, 1)]


def test_the_resident_is_drained_before_the_next_one_is_loaded() -> None:
    stays = foresee(RULES, resident("a"), [backlog("a", count=5), backlog("b", waited_s=3)])

    # Five runs of 2 s, then a swap of 5 s.
    assert stays == [Stay("a", 0, 5), Stay("b", 15, 1)]


def test_several_slots_serve_several_jobs_at_once() -> None:
    stays = foresee(RULES, resident("a", slots=4), [backlog("a", count=10), backlog("b")])

    # Three rounds of 2 s.
    assert stays[1] == Stay("b", 11, 1)


def test_a_long_visit_is_cut_for_the_overdue_and_goes_on_later() -> None:
    waiting = [backlog("a", count=100), backlog("b", waited_s=25)]

    first, second, third = foresee(RULES, resident("a"), waiting)

    assert (first.queue, second.queue, third.queue) == ("a", "b", "a")
    # b is overdue after 5 s, but the visit lasts its dwell of 10 swaps: 50 s.
    assert 50 <= first.count * 2 <= 54
    assert second.starts_s == first.count * 2 + 5
    assert first.count + third.count == 100


def test_what_another_target_has_loaded_is_left_to_it() -> None:
    assert foresee(RULES, resident("a"), [backlog("b", is_elsewhere=True)]) == []


def test_the_horizon_bounds_the_work() -> None:
    rules = Rules(max_wait_interactive_s=0.001, kappa=0.001)
    waiting = [backlog(queue, count=10**6) for queue in "ab"]

    assert len(foresee(rules, IDLE, waiting)) <= 64


@pytest.mark.parametrize(
    ("position", "expected"), [(0, 5), (1, 5), (2, 7), (3, 7), (4, 30), (5, 30), (6, float("inf"))]
)
def test_a_job_starts_in_the_visit_and_round_of_its_place(position: int, expected: float) -> None:
    stays = [Stay("a", 5, 4), Stay("b", 20, 9), Stay("a", 30, 2)]

    assert eta_s(stays, "a", position=position, slots=2, run_s=2) == expected
