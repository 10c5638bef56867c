"""The drain policy, rule by rule; the numbers are those of `decide`."""

import math
from typing import Any

import pytest

from foreman.core.drain import Action, Decision, Line, Rules, decide
from tests.factories import line

RULES = Rules(max_wait_interactive_s=30, max_wait_batch_s=600, kappa=10, job_limit_s=1800)
SWAP_S = 5.0
DWELL_S = 50.0  # what a swap of 5 s asks for


def decided(*lines: Line, **changes: Any) -> Decision:
    """With `a` loaded for 5 s a minute ago, and nothing running, unless the test says so."""
    state: dict[str, Any] = {"resident": "a", "dwell_s": 60.0, "running": 0, "swap_in_s": SWAP_S}
    return decide(rules=RULES, lines=lines, **(state | changes))


# 1. Stay


def test_a_resident_with_work_is_served_while_nobody_is_overdue() -> None:
    decision = decided(line("a", interactive_s=0), line("b", interactive_s=29.9))

    assert (decision.action, decision.queue) == (Action.TAKE, "a")


@pytest.mark.parametrize("running", [0, 1])
def test_an_overdue_residency_does_not_cut_a_visit_that_has_not_lasted_its_dwell(
    running: int,
) -> None:
    lines = line("a", interactive_s=0), line("b", interactive_s=1000)

    decision = decided(*lines, dwell_s=DWELL_S - 0.1, running=running)

    assert (decision.action, decision.queue) == (Action.TAKE, "a")


def test_the_dwell_is_counted_in_swaps_of_the_resident() -> None:
    lines = line("a", interactive_s=0), line("b", interactive_s=1000, swap_s=1)

    assert decided(*lines, dwell_s=100, swap_in_s=11).action is Action.TAKE
    assert decided(*lines, dwell_s=100, swap_in_s=10).action is Action.SWAP


def test_no_visit_is_cut_before_its_first_job_not_even_without_a_dwell() -> None:
    lines = line("a", interactive_s=0), line("b", interactive_s=1000)

    assert decided(*lines, dwell_s=0, swap_in_s=0, visit_jobs=0).action is Action.TAKE
    assert decided(*lines, dwell_s=0, swap_in_s=0, visit_jobs=1).action is Action.SWAP


def test_the_residents_own_old_jobs_never_end_its_visit() -> None:
    decision = decided(line("a", interactive_s=9999, batch_s=9999), line("b", batch_s=1))

    assert decision.action is Action.TAKE


def test_a_line_in_which_nothing_waits_is_no_work() -> None:
    empty = line("a"), line("b", interactive_s=None)

    assert decided(*empty).action is Action.LISTEN


# 2. Overdue, and the dwell is over


def test_a_visit_is_closed_for_the_overdue_while_its_jobs_run() -> None:
    decision = decided(line("a", interactive_s=0), line("b", interactive_s=30), running=1)

    assert (decision.action, decision.queue) == (Action.CLOSE, "b")
    assert decision.cause == "overdue"


def test_a_visit_is_closed_for_the_overdue_even_if_nothing_more_of_it_waits() -> None:
    decision = decided(line("b", interactive_s=30), running=1)

    assert (decision.action, decision.queue) == (Action.CLOSE, "b")


def test_a_closed_visit_is_left_when_its_last_job_has_ended() -> None:
    decision = decided(line("a", interactive_s=0), line("b", interactive_s=30), dwell_s=DWELL_S)

    assert (decision.action, decision.queue) == (Action.SWAP, "b")
    assert decision.cause == "overdue"


@pytest.mark.parametrize("running", [0, 1])
def test_a_visit_is_cut_for_the_overdue_and_not_for_an_older_head_that_has_time(
    running: int,
) -> None:
    others = line("b", interactive_s=31), line("c", batch_s=500)

    assert decided(line("a", interactive_s=0), *others, running=running).queue == "b"


@pytest.mark.parametrize(
    ("interactive_s", "batch_s", "action"),
    [
        (30, None, Action.SWAP),
        (None, 30, Action.TAKE),
        (None, 599, Action.TAKE),
        (None, 600, Action.SWAP),
        (29, 600, Action.SWAP),
        (29, 599, Action.TAKE),
    ],
)
def test_each_class_has_its_own_longest_wait(
    interactive_s: float | None, batch_s: float | None, action: Action
) -> None:
    other = line("b", interactive_s=interactive_s, batch_s=batch_s)

    assert decided(line("a", interactive_s=0), other).action is action


def test_a_closed_visit_goes_on_when_nobody_is_overdue_any_more() -> None:
    own = line("a", interactive_s=0)

    assert decided(own, line("b", interactive_s=31), running=1).action is Action.CLOSE
    assert decided(own, running=1).action is Action.TAKE


def test_without_a_longest_wait_no_visit_is_ever_cut() -> None:
    endless = Rules(max_wait_interactive_s=math.inf, max_wait_batch_s=math.inf)
    lines = [line("a", interactive_s=0), line("b", interactive_s=1e9, batch_s=1e9)]

    decision = decide(
        rules=endless, resident="a", dwell_s=1e9, running=0, lines=lines, swap_in_s=SWAP_S
    )

    assert decision.action is Action.TAKE


# 3. Never one residency while another runs


def test_while_jobs_of_the_resident_run_only_its_own_may_join_them() -> None:
    decision = decided(line("b", interactive_s=29), running=1)

    assert (decision.action, decision.queue) == (Action.TAKE, "a")


def test_the_overdue_wait_for_the_dwell_while_the_last_jobs_of_a_young_visit_run() -> None:
    decision = decided(line("b", interactive_s=1000), running=1, dwell_s=1)

    assert (decision.action, decision.queue) == (Action.TAKE, "a")


def test_nothing_is_taken_while_jobs_run_of_which_the_residency_is_not_known() -> None:
    decision = decided(line("b", interactive_s=1), resident=None, running=1)

    assert decision.action is Action.CLOSE


# 4. The next residency


def test_a_drained_target_swaps_at_once_however_young_the_visit() -> None:
    decision = decided(line("b", interactive_s=0), dwell_s=0.1)

    assert (decision.action, decision.queue) == (Action.SWAP, "b")
    assert decision.cause == "drained"


def test_when_nobody_is_overdue_the_oldest_head_is_next() -> None:
    lines = [line("b", interactive_s=5), line("c", batch_s=500), line("d", interactive_s=29)]

    assert decided(*lines).queue == "c"


def test_the_overdue_go_before_older_heads_that_still_have_time() -> None:
    decision = decided(line("b", interactive_s=31), line("c", batch_s=500))

    assert (decision.queue, decision.cause) == ("b", "overdue")


def test_among_the_overdue_the_least_recently_served_is_next() -> None:
    # Both were cut with work left, so their heads are old; c was served later.
    lines = line("b", interactive_s=100, idle_s=60), line("c", interactive_s=900, idle_s=55)

    assert decided(*lines).queue == "b"


def test_a_residency_that_had_no_work_was_not_left_unserved() -> None:
    # b was served long ago and has had work for 31 s only; c has had some for 55 s.
    lines = line("b", interactive_s=31, idle_s=9999), line("c", interactive_s=99, idle_s=55)

    assert decided(*lines).queue == "c"


def test_ties_are_broken_by_the_older_head_and_then_by_name() -> None:
    cut = [line("c", interactive_s=70, idle_s=60), line("b", interactive_s=61, idle_s=60)]
    same = [line("c", interactive_s=7), line("b", interactive_s=7)]

    assert {decided(*cut).queue, decided(*cut[::-1]).queue} == {"c"}
    assert {decided(*same).queue, decided(*same[::-1]).queue} == {"b"}


def test_the_first_swap_of_a_target_is_called_so() -> None:
    decision = decided(line("b", interactive_s=99), resident=None, dwell_s=0, swap_in_s=0)

    assert (decision.action, decision.queue, decision.cause) == (Action.SWAP, "b", "first")


# Several targets


def test_what_another_target_has_loaded_is_left_to_it_for_as_long_as_a_swap_here_takes() -> None:
    fresh = line("b", interactive_s=SWAP_S - 0.1, is_elsewhere=True)
    tired = line("b", interactive_s=SWAP_S, is_elsewhere=True)

    assert decided(fresh).action is Action.LISTEN
    assert decided(tired).action is Action.SWAP


def test_a_target_prefers_what_nobody_has_loaded_to_an_older_head_left_to_another() -> None:
    decision = decided(line("b", interactive_s=4, is_elsewhere=True), line("c", interactive_s=1))

    assert decision.queue == "c"


def test_the_overdue_are_left_to_nobody() -> None:
    slow = line("b", interactive_s=31, swap_s=100, is_elsewhere=True)

    assert decided(slow).action is Action.SWAP
    assert decided(slow, line("a", interactive_s=0)).action is Action.SWAP


# 5. Nothing waits


@pytest.mark.parametrize("resident", ["a", None])
def test_a_target_for_which_nothing_waits_stays_loaded_and_listens(resident: str | None) -> None:
    decision = decided(resident=resident)

    assert (decision.action, decision.queue, decision.cause) == (Action.LISTEN, None, None)
