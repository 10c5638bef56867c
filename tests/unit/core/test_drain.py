"""The drain policy, rule by rule."""

from hypothesis import given
from hypothesis import strategies as st

from foreman.core.drain import Waiting, decide
from tests.factories import waiting

queues = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 1000), st.integers(1, 99)),
    max_size=6,
    unique_by=lambda row: row[0],
).map(lambda rows: [waiting(name, head_s=head, count=count) for name, head, count in rows])
residents = st.none() | st.sampled_from("abcdef")


def test_while_jobs_of_the_resident_run_only_its_own_may_join_them() -> None:
    decision = decide(resident="a", running=1, waiting=[waiting("b", head_s=0)])

    assert decision.queue == "a"


def test_a_resident_with_work_is_served_until_it_has_none() -> None:
    older = waiting("b", head_s=0, count=1000)

    decision = decide(resident="a", running=0, waiting=[older, waiting("a", head_s=99)])

    assert decision.queue == "a"


def test_when_the_resident_is_drained_the_oldest_head_is_next() -> None:
    others = [waiting("b", head_s=5, count=9), waiting("c", head_s=1), waiting("d", head_s=3)]

    decision = decide(resident="a", running=0, waiting=others)

    assert decision.queue == "c"


def test_a_target_that_serves_nothing_yet_takes_the_oldest_head() -> None:
    decision = decide(
        resident=None, running=0, waiting=[waiting("b", head_s=2), waiting("c", head_s=1)]
    )

    assert decision.queue == "c"


def test_when_nothing_waits_the_target_stays_loaded_and_listens_to_all() -> None:
    assert decide(resident="a", running=0, waiting=[]).queue is None
    assert decide(resident=None, running=0, waiting=[]).queue is None


@given(resident=residents, running=st.integers(0, 4), known=queues)
def test_a_decision_names_a_queue_with_work_or_the_resident_and_a_reason(
    resident: str | None, running: int, known: list[Waiting]
) -> None:
    decision = decide(resident=resident, running=running, waiting=known)

    names = {each.queue for each in known}
    assert decision.queue in names | {resident} or (decision.queue is None and not names)
    assert decision.reason


@given(resident=residents, known=queues)
def test_a_visit_ends_only_when_the_resident_queue_is_empty(
    resident: str | None, known: list[Waiting]
) -> None:
    decision = decide(resident=resident, running=0, waiting=known)

    if resident in {each.queue for each in known}:
        assert decision.queue == resident


@given(resident=residents, running=st.integers(0, 4), known=queues)
def test_the_order_in_which_queues_are_listed_does_not_matter(
    resident: str | None, running: int, known: list[Waiting]
) -> None:
    heads = {each.head_at for each in known}
    decisions = {
        decide(resident=resident, running=running, waiting=order).queue
        for order in (known, known[::-1])
    }

    assert len(decisions) == 1 or len(heads) < len(known)
