"""Until when a waiting residency is loaded at the latest."""

import pytest

from foreman.core.queues import JobClass
from foreman.scheduling.bound import count_ahead, longest_turn, promised_by
from foreman.scheduling.values import LONG_AGO, NEVER, Demand, VisitRules
from foreman.scheduling.visits import MOST_SWAPS

RULES = VisitRules(job_limit_s=100.0, min_visit_swaps=10.0)
TURN = longest_turn(RULES, [5.0, 2.0], places=1)


def demand(queue: str, at: float, left_at: float = LONG_AGO) -> Demand:
    return Demand(queue, at, None, 5.0, left_at)


def test_a_turn_is_the_longest_load_its_dwell_and_one_whole_run() -> None:
    assert TURN.seconds == 5 + 10 * 5 + 100


def test_with_room_for_several_another_load_may_be_under_way() -> None:
    assert longest_turn(RULES, [5.0], places=2).seconds == 2 * 5 + 50 + 100
    assert longest_turn(RULES, [5.0], places=None).seconds == 2 * 5 + 50 + 100


def test_a_turn_assumes_the_longest_dwell_that_can_occur() -> None:
    assert longest_turn(VisitRules(), [5.0], places=1).dwell_s == MOST_SWAPS * 5


def test_only_what_waits_now_and_has_gone_unserved_for_longer_comes_before_it() -> None:
    waiting = [
        demand("first", 1.0),
        demand("own", 2.0),
        demand("later", 3.0),
        demand("cut", 0.0, left_at=9.0),
        demand("resident", 0.0),
        Demand("empty", None, None, 5.0),
    ]

    ahead = count_ahead(waiting, {"resident"})

    assert ahead == {"first": 0, "own": 1, "later": 2, "cut": 3}


def test_what_began_to_wait_at_the_same_moment_may_come_before_it() -> None:
    assert count_ahead([demand("a", 1.0), demand("b", 1.0)], ()) == {"a": 1, "b": 1}


@pytest.mark.parametrize(("ahead", "turns"), [(0, 1), (3, 4)])
def test_the_promise_is_a_turn_for_the_residents_and_one_for_each_that_is_ahead(
    ahead: int, turns: int
) -> None:
    by = promised_by(
        RULES, demand("a", 10.0), JobClass.INTERACTIVE, now=10.0, turn=TURN, ahead=ahead
    )

    assert by == 10 + 30 + turns * TURN.seconds + 5


def test_each_class_has_its_own_promise() -> None:
    both = Demand("a", 10.0, 0.0, 5.0)

    interactive, batch = (
        promised_by(RULES, both, each, now=10.0, turn=TURN, ahead=0) for each in JobClass
    )

    assert (interactive, batch) == (40 + TURN.seconds + 5, 600 + TURN.seconds + 5)
    none = promised_by(RULES, demand("a", 1.0), JobClass.BATCH, now=1.0, turn=TURN, ahead=0)
    assert none == NEVER


def test_once_it_is_overdue_the_promise_counts_from_now() -> None:
    late = promised_by(RULES, demand("a", 0.0), JobClass.INTERACTIVE, now=50.0, turn=TURN, ahead=0)

    assert late == 50 + TURN.seconds + 5
