"""What holds of every plan, whatever a target looks like."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from foreman.scheduling.policy import decide
from foreman.scheduling.rhythm import NO_RHYTHM
from foreman.scheduling.room import Fit, Room
from foreman.scheduling.values import Demand, Resident, Sight, VisitRules
from tests.unit.scheduling.sights import BUSY, NOW, QUIET

QUEUES = "abcdefgh"
ages = st.none() | st.sampled_from([0.0, 1.0, 9.0, 29.0, 30.0, 100.0, 700.0])
ago = st.sampled_from([0.0, 0.5, 4.0, 20.0, 60.0, 500.0]).map(lambda seconds: NOW - seconds)
residents = st.lists(
    st.builds(
        Resident,
        queue=st.sampled_from(QUEUES),
        load_s=st.sampled_from([0.5, 5.0, 20.0]),
        visit_at=ago,
        running=st.integers(0, 2),
        jobs=st.integers(0, 2),
        answered_at=ago,
        rhythm=st.sampled_from([NO_RHYTHM, BUSY, QUIET]),
        is_pinned=st.booleans(),
        is_closing=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda each: each.queue,
)
demands = st.lists(
    st.builds(
        lambda queue, one, two, load_s, left_at, is_elsewhere: Demand(
            queue,
            None if one is None else NOW - one,
            None if two is None else NOW - two,
            load_s,
            left_at,
            is_elsewhere,
        ),
        st.sampled_from(QUEUES),
        ages,
        ages,
        st.sampled_from([0.5, 5.0, 20.0]),
        ago,
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.queue,
)
sizes = st.fixed_dictionaries({queue: st.integers(1, 10) for queue in QUEUES})
rooms = st.builds(
    Room, st.none() | st.integers(1, 4), st.none() | st.integers(8, 30), st.just({}) | sizes
)
rules = st.builds(VisitRules, linger_s=st.sampled_from([None, 0.0, 5.0]))
MANY = settings(max_examples=600, deadline=None)


@MANY
@given(rules, residents, demands, rooms, st.sets(st.sampled_from(QUEUES), max_size=1))
def test_every_plan_can_be_carried_out_and_says_why(
    given_rules: VisitRules,
    loaded: Sequence[Resident],
    waiting: Sequence[Demand],
    room: Room,
    pins: set[str],
) -> None:
    missing = pins - {each.queue for each in loaded}

    plans = [
        decide(given_rules, Sight(NOW, orders[0], orders[1], room, 10.0, missing))
        for orders in ((loaded, waiting), (loaded[::-1], waiting[::-1]))
    ]

    assert plans[0] == plans[1], "the order of what is given must not matter"
    (plan, _), by_queue = plans, {each.queue: each for each in loaded}
    assert plan.reason
    assert plan.look_at > NOW
    assert plan.closing <= set(by_queue)
    if plan.load is None:
        return
    load = plan.load
    heads = {each.queue for each in waiting if each.head_at() < float("inf")}
    assert load.queue in heads | missing
    assert load.queue not in by_queue
    for queue in (*load.victims, *load.may_go):
        assert by_queue[queue].running == 0
    for queue in load.victims:
        assert not by_queue[queue].is_pinned
    staying = set(by_queue) - set(load.victims)
    alone = room.fit([*(staying - set(load.may_go)), load.queue])
    assert alone is Fit.FITS, "what may have to go is enough"
    if not load.may_go:
        assert room.fit([*staying, load.queue]) is Fit.FITS, "known room is never exceeded"


@MANY
@given(rules, residents, demands, rooms)
def test_what_fits_is_loaded_unless_the_overdue_need_its_room(
    given_rules: VisitRules, loaded: Sequence[Resident], waiting: Sequence[Demand], room: Room
) -> None:
    plan = decide(given_rules, Sight(NOW, loaded, waiting, room))

    if plan.load is None and plan.overdue is None:
        queues = [each.queue for each in loaded]
        for each in waiting:
            is_free = each.left_alone_until(given_rules) <= NOW and each.head_at() < float("inf")
            if is_free and each.queue not in queues:
                assert room.fit([*queues, each.queue]) is not Fit.FITS


@MANY
@given(rules, residents, demands, rooms)
def test_only_the_overdue_close_a_resident_that_has_work(
    given_rules: VisitRules, loaded: Sequence[Resident], waiting: Sequence[Demand], room: Room
) -> None:
    plan = decide(given_rules, Sight(NOW, loaded, waiting, room))

    working = {each.queue for each in waiting if each.head_at() < float("inf")}
    late = {each.queue for each in waiting if each.due_at(given_rules) <= NOW}
    resident = {each.queue for each in loaded}
    assert not plan.closing & working or late - resident
    for each in loaded:
        if each.queue in plan.closing & working and not each.is_closing:
            assert each.jobs > 0
            assert NOW - each.visit_at >= 10.0 * each.load_s
