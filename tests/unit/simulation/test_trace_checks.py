"""The checks of a trace can fail: each finds the policy that does not promise what it checks."""

from itertools import cycle, islice

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.values import VisitRules
from tests.unit.simulation import trace as checks
from tests.unit.simulation.trace import broken, play


def flood() -> tuple[list[Arrival], VisitRules, dict[str, float]]:
    """Four residencies, 60 s of work each and again and again; `d` has one job in between."""
    queues = list(islice(cycle("abc"), 600))
    arrivals = [
        Arrival(number * 0.5, queue, JobClass.INTERACTIVE, 1.9)
        for number, queue in enumerate(queues)
    ]
    arrivals.insert(100, Arrival(49.9, "d", JobClass.INTERACTIVE, 2.0))
    return (
        arrivals,
        VisitRules(min_visit_swaps=10.0, job_limit_s=2.0),
        dict.fromkeys("abcd", 5.0),
    )


@pytest.mark.parametrize("policy", ["drain", "ollama"])
def test_the_check_of_the_bound_finds_a_policy_without_one(policy: str) -> None:
    assert broken(checks.check_bound, play(*flood(), policy=policy))
    assert not broken(checks.check_bound, play(*flood()))


def test_the_check_of_the_cuts_finds_a_policy_without_a_dwell() -> None:
    assert broken(checks.check_cuts_are_paid_for, play(*flood(), policy="naive"))
    assert not broken(checks.check_cuts_are_paid_for, play(*flood()))


def test_the_check_of_the_turns_finds_fifo() -> None:
    assert broken(checks.check_turns, play(*flood(), policy="fifo"))
    assert not broken(checks.check_turns, play(*flood()))


def test_the_check_of_idleness_finds_a_run_that_began_late() -> None:
    trace = play(*flood())
    late = trace.starts[50]
    without = [each for each in trace.starts if each.at != trace.starts[20].at]
    trace.tally.starts[:] = without

    assert late in without
    assert broken(checks.check_no_target_idles_beside_work, trace)


def test_a_trace_of_which_a_job_is_missing_is_found() -> None:
    trace = play(*flood())
    trace.tally.starts.pop()

    assert broken(checks.check_all_are_served, trace)
