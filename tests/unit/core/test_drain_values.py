"""What the drain policy's decisions are made of: lateness, turns of the classes, the bound."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.drain import (
    Action,
    Line,
    Rules,
    class_to_take,
    decide,
    left_alone_s,
    overdue,
    unserved_s,
    wait_bound_s,
    wait_s,
)
from foreman.core.queues import JobClass
from tests.factories import line

RULES = Rules()
ages = st.none() | st.floats(0, 2000)
lines = st.lists(
    st.builds(
        Line,
        queue=st.sampled_from("abcdef"),
        interactive_s=ages,
        batch_s=ages,
        swap_s=st.floats(0, 60),
        idle_s=st.floats(0, 2000) | st.just(math.inf),
        is_elsewhere=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.queue,
)
residents = st.none() | st.sampled_from("abcdef")


@pytest.mark.parametrize(
    ("interactive_s", "batch_s", "expected"),
    [
        (1, None, JobClass.INTERACTIVE),
        (None, 1, JobClass.BATCH),
        (1, 599, JobClass.INTERACTIVE),
        (1, 600, JobClass.BATCH),
        (30, 600, JobClass.INTERACTIVE),
    ],
)
def test_interactive_jobs_go_first_unless_only_a_batch_job_is_overdue(
    interactive_s: float | None, batch_s: float | None, expected: JobClass
) -> None:
    assert class_to_take(line("a", interactive_s=interactive_s, batch_s=batch_s), RULES) is expected


def test_a_residency_is_overdue_when_a_job_has_waited_as_long_as_its_class_allows() -> None:
    assert not overdue(line("a", interactive_s=29.9, batch_s=599.9), RULES)
    assert overdue(line("a", interactive_s=30), RULES)
    assert overdue(line("a", batch_s=600), RULES)


def test_the_oldest_job_of_either_class_is_the_head() -> None:
    assert wait_s(line("a", interactive_s=3, batch_s=7)) == 7
    assert wait_s(line("a", interactive_s=3)) == 3
    assert wait_s(line("a", batch_s=7)) == 7
    assert wait_s(line("a", interactive_s=None)) is None


def test_time_unserved_begins_with_the_head_or_with_the_end_of_the_last_visit() -> None:
    assert unserved_s(line("a", interactive_s=3)) == 3
    assert unserved_s(line("a", interactive_s=30, idle_s=20)) == 20


def test_a_residency_is_left_alone_for_the_rest_of_a_swaps_time() -> None:
    elsewhere = line("a", interactive_s=2, swap_s=5, is_elsewhere=True)

    assert left_alone_s(elsewhere, RULES) == 3
    assert left_alone_s(line("a", interactive_s=2, swap_s=5), RULES) == 0


def test_the_bound_is_a_visit_of_each_other_residency_and_ones_own_swap() -> None:
    rules = Rules(kappa=10, max_wait_interactive_s=30, max_wait_batch_s=600, job_limit_s=100)

    interactive = wait_bound_s(rules, JobClass.INTERACTIVE, swap_s=8, others_swap_s=[5, 2])
    batch = wait_bound_s(rules, JobClass.BATCH, swap_s=8, others_swap_s=[5, 2])

    assert interactive == 30 + 8 + (50 + 5 + 100) + (20 + 2 + 100)
    assert batch == interactive + 570


def test_a_residency_that_is_alone_waits_for_its_swap_only() -> None:
    assert wait_bound_s(RULES, JobClass.INTERACTIVE, swap_s=8, others_swap_s=[]) == 38


@given(
    resident=residents,
    dwell_s=st.floats(0, 2000),
    running=st.integers(0, 4),
    known=lines,
    swap_in_s=st.floats(0, 60),
)
def test_every_decision_can_be_carried_out_and_says_why(
    resident: str | None, dwell_s: float, running: int, known: list[Line], swap_in_s: float
) -> None:
    decisions = {
        decide(
            rules=RULES,
            resident=resident,
            dwell_s=dwell_s,
            running=running,
            lines=order,
            swap_in_s=swap_in_s,
        )
        for order in (known, known[::-1])
    }

    assert len(decisions) == 1, "the order of the lines must not matter"
    (decision,) = decisions
    others = {each.queue for each in known if wait_s(each) is not None} - {resident}
    match decision.action:
        case Action.TAKE:
            assert resident is not None
            assert decision.queue == resident
        case Action.SWAP:
            assert decision.queue in others
            assert not running
            assert decision.cause in {"first", "drained", "overdue"}
        case Action.CLOSE:
            assert running
        case Action.LISTEN:
            assert decision.queue is None
            assert not running
    assert decision.reason
