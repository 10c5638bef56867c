"""What the rules for several residents promise, held on what Hypothesis makes of arrivals."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.fleet import Memory
from tests.unit.simulation.clumps import Rows, arrivals_of, clumps_of
from tests.unit.simulation.watched import watch

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

clumps = clumps_of("abcdef")
rules = st.builds(
    VisitRules,
    max_wait_interactive_s=st.sampled_from([1.0, 10.0, 30.0]),
    max_wait_batch_s=st.sampled_from([10.0, 30.0, 120.0]),
    job_limit_s=st.just(20.0),
    min_visit_swaps=st.sampled_from([0.0, 1.0, 4.0, 10.0, None]),
    linger_s=st.sampled_from([None, None, 0.0, 2.0, 30.0]),
)
loads = st.fixed_dictionaries({queue: st.sampled_from([0.5, 2.0, 10.0]) for queue in "abcdef"})
sizes = st.fixed_dictionaries({queue: st.integers(1, 10) for queue in "abcdef"})
memories = st.builds(Memory, st.integers(1, 4), st.none() | st.integers(8, 24), sizes)


@EXAMPLES
@given(clumps, rules, loads, memories, st.integers(1, 3))
def test_all_promises_hold_with_sizes_places_and_slots(
    rows: Rows, given_rules: VisitRules, load_s: dict[str, float], memory: Memory, slots: int
) -> None:
    watch(arrivals_of(rows), given_rules, load_s, memory, slots=slots)


@EXAMPLES
@given(clumps, rules, loads, memories)
def test_all_promises_hold_while_the_room_is_being_learned(
    rows: Rows, given_rules: VisitRules, load_s: dict[str, float], memory: Memory
) -> None:
    watch(arrivals_of(rows), given_rules, load_s, memory, is_room_known=False)


@EXAMPLES
@given(clumps, rules, loads, st.integers(1, 2), st.integers(2, 3), st.integers(1, 2))
def test_all_promises_hold_with_several_targets(
    rows: Rows,
    given_rules: VisitRules,
    load_s: dict[str, float],
    places: int,
    targets: int,
    slots: int,
) -> None:
    arrivals = arrivals_of(rows)

    watch(arrivals, given_rules, load_s, Memory(places), targets=targets, slots=slots)
