"""What ours promises with one resident, on made-up arrivals and on what Hypothesis makes of them.

Read from what was served when; `test_resident_properties` watches ours at each of its steps.
"""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.arrivals import LONGEST_RUN, SHAPES, Load
from tests.unit.simulation import trace as checks
from tests.unit.simulation.clumps import Rows, arrivals_of, clumps_of
from tests.unit.simulation.trace import Trace, fifo_swaps, play

MIN_SWAPS = 10.0
# No rule that lingers can promise fewer loads than FIFO: a linger without effect may miss a job.
ENDLESS = VisitRules(max_wait_interactive_s=math.inf, max_wait_batch_s=math.inf, linger_s=0.0)
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where an example is short.
MANY_EXAMPLES = settings(EXAMPLES, max_examples=200)

clumps = clumps_of("abcd")
# Few jobs, one at a time: where each swap counts.
sparse = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(JobClass),
        st.sampled_from([0.25, 5.0, 20.0]),
        st.just(1),
        st.sampled_from([0.0, 0.5, 3.0, 10.0, 20.0]),
    ),
    min_size=3,
    max_size=14,
)
rules = st.builds(
    VisitRules,
    max_wait_interactive_s=st.sampled_from([1.0, 10.0, 30.0]),
    max_wait_batch_s=st.sampled_from([10.0, 30.0, 120.0]),
    min_visit_swaps=st.sampled_from([0.0, 1.0, 4.0, 10.0]),
    job_limit_s=st.just(20.0),
    linger_s=st.sampled_from([None, 0.0, 5.0]),
)
swaps = st.fixed_dictionaries({queue: st.sampled_from([0.5, 2.0, 10.0]) for queue in "abcd"})


def busy(given_rules: VisitRules) -> VisitRules:
    """The same without lingering, the one reason to idle beside work."""
    return replace(given_rules, linger_s=0.0)


def one_class(arrivals: list[Arrival]) -> list[Arrival]:
    return [replace(each, job_class=JobClass.INTERACTIVE) for each in arrivals]


@EXAMPLES
@given(clumps, rules, swaps)
def test_every_waiting_residency_is_visited_within_the_bound(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
) -> None:
    trace = play(arrivals_of(rows), given_rules, swap_s)

    checks.check_all_are_served(trace)
    checks.check_bound(trace)
    checks.check_nobody_goes_twice_before_the_overdue(trace)


@EXAMPLES
@given(clumps, rules, swaps, st.integers(1, 3), st.integers(1, 4))
def test_the_bound_holds_with_several_targets_and_slots(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
    targets: int,
    slots: int,
) -> None:
    trace = play(arrivals_of(rows), given_rules, swap_s, targets=targets, slots=slots)

    checks.check_all_are_served(trace)
    checks.check_bound(trace)


@EXAMPLES
@given(clumps, rules, swaps)
def test_the_overdue_are_served_before_others_and_the_longest_unserved_first(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
) -> None:
    checks.check_turns(play(arrivals_of(rows), given_rules, swap_s))


@MANY_EXAMPLES
@given(clumps | sparse, swaps, st.integers(1, 4))
def test_a_drain_without_a_bound_never_swaps_more_often_than_fifo(
    rows: Rows, swap_s: dict[str, float], slots: int
) -> None:
    arrivals = arrivals_of(rows)

    trace = play(arrivals, ENDLESS, swap_s, slots=slots)

    assert trace.tally.causes.total() <= fifo_swaps(arrivals)
    assert trace.tally.causes["overdue"] == 0


@MANY_EXAMPLES
@given(clumps | sparse, rules, swaps)
def test_where_nothing_is_overdue_the_policy_never_swaps_more_often_than_fifo(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
) -> None:
    arrivals = arrivals_of(rows)

    causes = play(arrivals, busy(given_rules), swap_s).tally.causes

    assert causes["overdue"] or causes.total() <= fifo_swaps(arrivals)


@MANY_EXAMPLES
@given(clumps | sparse, rules, swaps)
def test_with_one_class_only_a_cut_makes_the_policy_swap_more_often_than_fifo(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
) -> None:
    arrivals = one_class(arrivals_of(rows))

    tally = play(arrivals, busy(given_rules), swap_s).tally

    assert tally.cuts or tally.causes.total() <= fifo_swaps(arrivals)


def test_of_two_overdue_heads_the_older_goes_first_though_its_residency_was_served_later() -> None:
    # By the last visits alone it would be x, y and x again.
    asked = ("y", 0.0, 0.25), ("a", 1.0, 40.0), ("y", 12.0, 0.25), ("x", 13.0, 0.25), ("x", 57.0, 1)
    arrivals = [Arrival(at, queue, JobClass.INTERACTIVE, run_s) for queue, at, run_s in asked]

    trace = play(
        arrivals, VisitRules(min_visit_swaps=MIN_SWAPS, job_limit_s=40.0), dict.fromkeys("axy", 5.0)
    )

    assert [visit.queue for visit in trace.visits] == ["y", "a", "y", "x"]
    assert len(trace.visits) == fifo_swaps(arrivals)


@EXAMPLES
@given(clumps, rules, swaps, st.integers(1, 4))
def test_cut_visits_have_paid_for_their_loads(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
    slots: int,
) -> None:
    checks.check_cuts_are_paid_for(play(arrivals_of(rows), given_rules, swap_s, slots=slots))


@EXAMPLES
@given(clumps, rules, swaps, st.integers(1, 3), st.integers(1, 3))
def test_no_target_idles_beside_work_that_is_not_left_to_another(
    rows: Rows,
    given_rules: VisitRules,
    swap_s: dict[str, float],
    targets: int,
    slots: int,
) -> None:
    arrivals = arrivals_of(rows)

    checks.check_no_target_idles_beside_work(
        play(arrivals, busy(given_rules), swap_s, targets=targets, slots=slots)
    )


# Long traces: what Hypothesis does not make


def made(
    shape: str, rho: float, models: int = 4
) -> tuple[list[Arrival], VisitRules, dict[str, float]]:
    load = Load(jobs=700, models=models, rho=rho, burst_jobs=200, seed=7)
    limited = VisitRules(min_visit_swaps=MIN_SWAPS, job_limit_s=LONGEST_RUN * load.service_s)
    return list(SHAPES[shape](load)), limited, dict.fromkeys(load.queues, 5.0)


@pytest.mark.parametrize("rho", [0.45, 0.95, 1.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_promises_hold_at_any_load(shape: str, rho: float) -> None:
    trace = play(*made(shape, rho))

    checks.check_all_are_served(trace)
    checks.check_bound(trace)
    checks.check_cuts_are_paid_for(trace)


@pytest.mark.parametrize("rho", [0.45, 0.95, 1.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_target_that_does_not_linger_never_idles_beside_work(shape: str, rho: float) -> None:
    arrivals, limited, swap_s = made(shape, rho)

    checks.check_no_target_idles_beside_work(play(arrivals, busy(limited), swap_s))


def test_the_bound_holds_for_twelve_models_that_are_all_flooded() -> None:
    arrivals, limited, swap_s = made("poisson", 3.0, models=12)

    checks.check_bound(play(arrivals, limited, swap_s))


@pytest.mark.parametrize(("targets", "slots"), [(1, 3), (2, 2)])
def test_the_bound_holds_under_overload_with_several_targets_and_slots(
    targets: int, slots: int
) -> None:
    arrivals, limited, swap_s = made("poisson", 8.0)

    trace = play(arrivals, busy(limited), swap_s, targets=targets, slots=slots)

    checks.check_bound(trace)
    checks.check_cuts_are_paid_for(trace)
    checks.check_no_target_idles_beside_work(trace)


def test_with_swaps_of_one_length_forced_ones_take_at_most_their_share_whatever_comes() -> None:
    arrivals, limited, swap_s = made("adversarial", 2.0)

    trace = play(arrivals, limited, swap_s)

    span_s = trace.end_at - arrivals[0].at
    assert trace.tally.cuts > 10
    assert trace.tally.cuts * 5.0 <= span_s / (MIN_SWAPS + 1)


def test_the_traces_of_a_policy_are_the_same_each_time() -> None:
    one: Trace = play(*made("poisson", 0.95))

    assert one.visits == play(*made("poisson", 0.95)).visits
