"""The rules for several residents, one by one; the numbers are those of `policy`."""

from dataclasses import replace

import pytest

from foreman.core.queues import JobClass
from foreman.scheduling.rhythm import Rhythm
from foreman.scheduling.room import Room
from foreman.scheduling.values import NEVER, Cause, Plan, PlannedLoad
from tests.unit.scheduling.sights import (
    BUSY,
    LOAD_S,
    NOW,
    QUIET,
    RULES,
    decided,
    loaded,
    room,
    waits,
)

# A job every two seconds, until twelve seconds ago.
OFTEN = Rhythm(arrivals=tuple(NOW - 12 - 2 * n for n in range(8, 0, -1)))


def load_of(plan: Plan) -> PlannedLoad:
    assert plan.load is not None, plan.reason
    return plan.load


# 1. Serve every resident


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
    assert waits("a", interactive_s, batch_s=batch_s).class_to_take(NOW, RULES) is expected


def test_a_resident_with_work_is_left_to_serve_it_while_nobody_is_overdue() -> None:
    plan = decided([loaded("a", rhythm=BUSY)], [waits("a", 1), waits("b", 29)])

    assert (plan.load, plan.closing) == (None, frozenset())
    assert plan.look_at == NOW + 1  # then b is overdue


# 2. Load what fits


def test_what_fits_is_loaded_at_once_while_jobs_run() -> None:
    plan = decided([loaded("a", running=2)], [waits("b", 0)], room=room(a=4, b=6))

    assert plan.load == PlannedLoad("b", Cause.FITS, "it fits next to what is loaded")


def test_the_first_load_of_a_target_is_called_so() -> None:
    assert load_of(decided([], [waits("b", 99)])).cause is Cause.FIRST


def test_one_load_runs_at_a_time() -> None:
    residents = [loaded("a", is_loading=True, visit_at=NOW + 3, jobs=0)]

    assert decided(residents, [waits("b", 0)], room=room(a=4, b=6)).load is None


def test_of_several_that_fit_the_longest_unserved_is_first_and_the_overdue_before_it() -> None:
    demands = [waits("b", 5), waits("c", batch_s=500), waits("d", 29)]

    assert load_of(decided([], demands)).queue == "c"
    assert load_of(decided([], [*demands, waits("e", 31)])).queue == "e"


def test_what_a_cut_left_behind_has_been_unserved_since_its_visit_ended() -> None:
    demands = [waits("b", 100, left_at=NOW - 60), waits("c", 900, left_at=NOW - 55)]

    assert load_of(decided([], demands)).queue == "b"


# 3. Make room


def test_the_resident_that_is_at_rest_goes_and_never_the_one_that_runs() -> None:
    residents = [loaded("a", running=1), loaded("b", rhythm=QUIET)]
    rules = replace(RULES, linger_s=0.0)

    load = load_of(decided(residents, [waits("c", 1)], room=room(a=5, b=5, c=5), rules=rules))

    assert (load.victims, load.cause) == (("b",), Cause.DRAINED)


def test_nothing_is_loaded_while_all_that_could_go_is_running() -> None:
    assert decided([loaded("a", running=1)], [waits("b", 29)]).load is None


def test_the_least_needed_goes_by_the_cost_of_its_load_and_the_time_until_its_next_job() -> None:
    sized = room(a=5, b=5, c=5)

    rare = decided([loaded("a", rhythm=BUSY), loaded("b")], [waits("c", 1)], room=sized)
    cheap = decided([loaded("a", load_s=50), loaded("b", load_s=1)], [waits("c", 1)], room=sized)

    assert load_of(rare).victims == load_of(cheap).victims == ("b",)


def test_a_pinned_resident_never_goes() -> None:
    residents = [loaded("a", is_pinned=True), loaded("b", rhythm=BUSY)]

    load = load_of(decided(residents, [waits("c", 9)], room=room(a=5, b=5, c=5)))

    assert load.victims == ("b",)


def test_a_large_residency_takes_the_room_of_several() -> None:
    residents = [loaded("a"), loaded("b"), loaded("c")]

    load = load_of(decided(residents, [waits("d", 1)], room=room(a=3, b=3, c=3, d=7)))

    assert sorted(load.victims) == ["a", "b"]


def test_a_small_resident_stays_where_a_large_one_has_to_go_anyway() -> None:
    residents = [loaded("a"), loaded("b", rhythm=BUSY)]

    load = load_of(decided(residents, [waits("d", 1)], room=room(a=2, b=7, d=8)))

    assert load.victims == ("b",)


def test_where_the_room_is_not_known_nothing_is_unloaded_and_the_target_shows_it() -> None:
    load = load_of(decided([loaded("a")], [waits("b", 1)], room=Room()))

    assert (load.victims, load.may_go, load.cause) == ((), ("a",), Cause.TRIED)


def test_nothing_is_tried_while_a_resident_that_may_have_to_go_is_running() -> None:
    assert decided([loaded("a", running=1)], [waits("b", 1)], room=Room()).load is None


def test_of_what_must_go_and_what_may_have_to_go_only_the_first_is_unloaded() -> None:
    # Three of 12 bytes clashed; two of 13 were never seen together.
    learned = Room().seen({"a": 4, "b": 4}).learned({"a": 4, "b": 4}, "c", {"b": 4, "c": 4})
    learned = replace(learned, sizes={**learned.sizes, "d": 9})

    load = load_of(decided([loaded("a"), loaded("b", load_s=50)], [waits("d", 1)], room=learned))

    assert (load.victims, load.may_go) == (("a",), ("b",))


# 4. Linger


def test_an_empty_resident_stays_as_long_as_its_gaps_predict_a_job() -> None:
    resident = loaded("a", rhythm=BUSY, answered_at=NOW - 0.4)

    plan = decided([resident], [waits("b", 9)])

    assert (plan.load, plan.lingering) == (None, frozenset("a"))
    assert plan.look_at == pytest.approx(NOW + 1.6)
    over = decided([replace(resident, answered_at=NOW - 2)], [waits("b", 9)])
    assert load_of(over).victims == ("a",)


def test_a_resident_of_which_little_is_known_lingers_on_credit() -> None:
    new = Rhythm(arrivals=(NOW - 4,), silent_since=NOW - 2)
    resident = loaded("a", rhythm=new, answered_at=NOW - 2)

    plan = decided([resident], [waits("b", 9)], linger_credit=1.0)

    assert (plan.load, plan.lingering) == (None, frozenset("a"))
    assert plan.look_at == pytest.approx(NOW + 3)
    assert load_of(decided([resident], [waits("b", 9)])).victims == ("a",)


def test_nobody_lingers_on_credit_next_to_others() -> None:
    new = Rhythm(arrivals=(NOW - 90,), silent_since=NOW - 2)
    residents = [loaded("a", rhythm=new, answered_at=NOW - 2), loaded("b", running=1)]

    plan = decided(residents, [waits("c", 9)], room=room(a=5, b=5, c=5), linger_credit=2.0)

    assert load_of(plan).victims == ("a",)


def test_lingering_can_be_switched_off_or_set() -> None:
    resident = loaded("a", rhythm=BUSY, answered_at=NOW - 0.4)

    off = decided([resident], [waits("b", 9)], rules=replace(RULES, linger_s=0.0))
    three = decided([resident], [waits("b", 9)], rules=replace(RULES, linger_s=3.0))

    assert load_of(off).victims == ("a",)
    assert three.look_at == pytest.approx(NOW + 2.6)


def test_while_somebody_is_overdue_it_lingers_within_the_minimum_dwell_only() -> None:
    young = loaded("a", rhythm=BUSY, answered_at=NOW - 0.4, visit_at=NOW - 49)
    old = replace(young, visit_at=NOW - 50)

    assert decided([young], [waits("b", 31)]).lingering == frozenset("a")
    assert load_of(decided([old], [waits("b", 31)])).victims == ("a",)


def test_next_to_others_one_that_is_needed_stays_for_two_loads_after_its_answer() -> None:
    residents = [loaded("a", answered_at=NOW - 9.9, rhythm=OFTEN), loaded("b", running=1)]
    sized = room(a=5, b=5, c=5)

    plan = decided(residents, [waits("c", 9)], room=sized)

    assert plan.load is None
    assert plan.look_at == pytest.approx(NOW + 0.1)
    residents[0] = replace(residents[0], answered_at=NOW - 2 * LOAD_S)
    assert load_of(decided(residents, [waits("c", 9)], room=sized)).victims == ("a",)


def test_next_to_others_it_stays_only_as_far_as_it_is_worth_the_wait_of_all_jobs_in_line() -> None:
    # A job every 3 s until the answer: a second saves 1.7 s of loads, or 0.35 s for each of 4.
    residents = [loaded("a", answered_at=NOW - 4, rhythm=OFTEN), loaded("b", running=1)]
    seldom = [loaded("a", answered_at=NOW - 4), residents[1]]
    sized = room(a=5, b=5, c=5)

    assert decided(residents, [waits("c", 9, jobs=4)], room=sized).load is None
    many = decided(residents, [waits("c", 9, jobs=5)], room=sized)
    assert load_of(many).victims == ("a",)
    assert load_of(decided(seldom, [waits("c", 9)], room=sized)).victims == ("a",)
    two = [waits("c", 9, jobs=5), waits("d", 8)]
    assert decided(residents, two, room=room(a=5, b=5, c=5, d=5)).load is None, "d gains as well"


def test_next_to_a_pinned_one_alone_it_stays_only_as_long_as_its_gaps_predict_a_job() -> None:
    residents = [
        loaded("a", rhythm=BUSY, answered_at=NOW - 2),
        loaded("b", is_pinned=True, running=1),
    ]

    plan = decided(residents, [waits("c", 9)], room=room(a=5, b=5, c=5))

    assert load_of(plan).victims == ("a",)


def test_a_resident_that_has_had_no_job_does_not_linger() -> None:
    resident = loaded("a", rhythm=BUSY, jobs=0, answered_at=float("-inf"), visit_at=NOW)

    assert load_of(decided([resident], [waits("b", 0)])).victims == ("a",)


# 5. Cut


@pytest.mark.parametrize(("dwell_s", "closing"), [(49.9, ""), (50, "a")])
def test_a_visit_is_cut_for_the_overdue_when_it_has_lasted_its_dwell(
    dwell_s: float, closing: str
) -> None:
    resident = loaded("a", running=1, visit_at=NOW - dwell_s)

    plan = decided([resident], [waits("a", 0), waits("b", 30)])

    assert (plan.load, plan.closing) == (None, frozenset(closing))


def test_the_end_of_the_dwell_is_looked_at() -> None:
    resident = loaded("a", running=1, visit_at=NOW - 20)

    assert decided([resident], [waits("a", 0), waits("b", 30)]).look_at == NOW + 30


def test_a_cut_visit_ends_when_its_last_run_has_ended() -> None:
    load = load_of(decided([loaded("a", is_closing=True)], [waits("a", 50), waits("b", 30)]))

    assert (load.queue, load.victims, load.cause) == ("b", ("a",), Cause.OVERDUE)


def test_no_visit_is_cut_before_its_first_job_not_even_without_a_dwell() -> None:
    demands = [waits("a", 0), waits("b", 1000)]

    none = decided([loaded("a", jobs=0)], demands, visit_swaps=0.0)
    one = decided([loaded("a", jobs=1, running=1)], demands, visit_swaps=0.0)

    assert (none.closing, one.closing) == (frozenset(), frozenset("a"))


def test_nobody_is_cut_for_what_still_has_time() -> None:
    plan = decided([loaded("a", running=1)], [waits("a", 999, batch_s=9999), waits("b", 29)])

    assert plan.closing == frozenset()


def test_of_several_residents_one_is_closed_and_the_other_goes_on() -> None:
    residents = [loaded("a", running=1, rhythm=BUSY), loaded("b", running=1)]
    demands = [waits("a", 3), waits("b", 3), waits("c", 30)]

    plan = decided(residents, demands, room=room(a=5, b=5, c=5))

    assert plan.closing == frozenset("b")


def test_a_resident_without_waiting_jobs_is_closed_before_one_that_has_some() -> None:
    residents = [loaded("a", running=1, rhythm=BUSY), loaded("b", running=1)]

    plan = decided(residents, [waits("b", 3), waits("c", 30)], room=room(a=5, b=5, c=5))

    assert plan.closing == frozenset("a")


def test_a_closed_resident_stays_the_choice_though_another_is_needed_less_now() -> None:
    residents = [loaded("a", running=1, rhythm=BUSY, is_closing=True), loaded("b", running=1)]
    demands = [waits("a", 3), waits("b", 3), waits("c", 30)]

    assert decided(residents, demands, room=room(a=5, b=5, c=5)).closing == frozenset("a")


def test_a_closed_visit_goes_on_when_nobody_is_overdue_any_more() -> None:
    residents = [loaded("a", running=1, is_closing=True)]

    assert decided(residents, [waits("a", 9)]).closing == frozenset()


def test_a_large_overdue_residency_closes_as_many_as_it_needs_and_not_before_all_may_go() -> None:
    old, young = loaded("a", running=1), loaded("b", running=1, visit_at=NOW - 20)
    demands = [waits("a", 1), waits("b", 1), waits("c", 30)]
    sized = room(a=4, b=4, c=9)

    early = decided([old, young], demands, room=sized)
    late = decided([old, replace(young, visit_at=NOW - 50)], demands, room=sized)

    assert (early.closing, early.look_at) == (frozenset(), NOW + 30)
    assert late.closing == frozenset("ab")


def test_nothing_takes_the_room_that_an_overdue_residency_waits_for() -> None:
    resident = loaded("a", running=1, visit_at=NOW - 20)
    demands = [waits("a", 1), waits("large", 30), waits("small", 5)]

    in_the_way = decided([resident], demands, room=room(a=4, large=9, small=2))
    next_to_it = decided([resident], demands, room=room(a=4, large=8, small=2))

    assert in_the_way.load is None
    assert load_of(next_to_it).queue == "small"


def test_a_visit_is_closed_for_the_overdue_even_while_something_loads() -> None:
    residents = [
        loaded("a", running=1),
        loaded("b", is_loading=True, visit_at=NOW + 3, jobs=0),
    ]

    plan = decided(residents, [waits("a", 1), waits("c", 30)], room=room(a=5, b=5, c=5))

    assert (plan.load, plan.closing) == (None, frozenset("a"))


# 6. Rest


def test_when_nothing_waits_everything_stays_loaded() -> None:
    plan = decided([loaded("a"), loaded("b")], [waits("c")], room=room(a=5, b=5, c=5))

    assert plan == Plan()
    assert plan.look_at == NEVER


def test_a_pinned_residency_that_is_missing_is_loaded_where_it_fits_and_unloads_nothing() -> None:
    sized = room(a=5, pin=5, huge=9)

    fits = decided([loaded("a", running=1)], [], room=sized, missing_pins=["pin"])
    never = decided([loaded("a")], [], room=sized, missing_pins=["huge"])

    assert (load_of(fits).queue, load_of(fits).cause) == ("pin", Cause.PINNED)
    assert never.load is None


def test_a_pinned_residency_is_tried_only_while_nobody_is_disturbed() -> None:
    at_rest = decided([loaded("a")], [], room=Room(), missing_pins=["pin"])
    at_work = decided([loaded("a", running=1)], [], room=Room(), missing_pins=["pin"])

    assert load_of(at_rest).may_go == ("a",)
    assert at_work.load is None


def test_a_try_of_a_pinned_residency_names_the_least_needed_resident_first() -> None:
    residents = [loaded("a", rhythm=BUSY), loaded("b")]

    plan = decided(residents, [], room=Room(seen_count=2), missing_pins=["pin"])

    assert load_of(plan).may_go == ("b", "a")


def test_a_missing_pinned_residency_that_fits_does_not_wait_for_those_that_do_not() -> None:
    residents = [loaded("a", running=1, visit_at=NOW - 20)]
    sized = room(a=5, b=9, pin=3, large=6)

    young = decided(residents, [waits("b", 9)], room=sized, missing_pins=["pin"])
    late = decided(residents, [waits("b", 30)], room=sized, missing_pins=["pin"])

    assert load_of(young).queue == "pin"
    assert late.load is None, "b needs this room"


def test_waiting_jobs_go_before_a_missing_pinned_residency() -> None:
    assert load_of(decided([], [waits("b", 0)], missing_pins=["pin"])).queue == "b"


def test_what_never_fits_next_to_the_pinned_is_named_and_holds_nobody_up() -> None:
    residents = [loaded("a", is_pinned=True, running=1)]
    demands = [waits("b", 99), waits("c", 1)]

    plan = decided(residents, demands, room=room(a=5, b=9, c=5))

    assert plan.stuck == frozenset("b")
    assert load_of(plan).queue == "c"


def test_what_clashed_with_a_pinned_residency_is_tried_and_the_target_decides() -> None:
    clashed = Room(sizes={"a": 5, "b": 9}).learned({"a": 5}, "b", {"b": 9})

    load = load_of(decided([loaded("a", is_pinned=True)], [waits("b", 1)], room=clashed))

    assert (load.victims, load.may_go) == ((), ("a",))


# Several targets


def test_what_another_target_has_is_left_to_it_for_as_long_as_a_load_here_takes() -> None:
    fresh = waits("b", 4, is_elsewhere=True)

    plan = decided([loaded("a")], [fresh])

    assert (plan.load, plan.look_at) == (None, NOW + 1)
    assert load_of(decided([loaded("a")], [waits("b", 5, is_elsewhere=True)])).queue == "b"


def test_the_overdue_are_left_to_nobody() -> None:
    slow = waits("b", 31, load_s=100, is_elsewhere=True)

    assert load_of(decided([loaded("a")], [slow])).queue == "b"
