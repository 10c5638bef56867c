"""What is known of a target's room, from what the operator states and from what was seen."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreman.scheduling.room import SIZES_KEPT, Fit, Room, room_of
from foreman.simulation.drain.fleet import Memory

GIB = 2**30


def test_one_residency_alone_always_fits_however_large_it_is() -> None:
    assert Room(residents=1, memory_bytes=1, sizes={"a": GIB}).fit(["a"]) is Fit.FITS


def test_with_one_resident_stated_no_two_fit() -> None:
    assert Room(residents=1).fit(["a", "b"]) is Fit.EXCEEDS


def test_an_operator_who_counts_models_is_believed_without_sizes() -> None:
    room = Room(residents=2)

    assert room.fit(["a", "b"]) is Fit.FITS
    assert room.fit(["a", "b", "c"]) is Fit.EXCEEDS


def test_stated_memory_holds_what_adds_up_to_it() -> None:
    room = Room(residents=3, memory_bytes=10, sizes={"a": 4, "b": 6, "c": 1})

    assert room.fit(["a", "b"]) is Fit.FITS
    assert room.fit(["a", "b", "c"]) is Fit.EXCEEDS


def test_a_residency_that_was_never_loaded_has_no_size_yet() -> None:
    room = Room(residents=3, memory_bytes=10, sizes={"a": 4})

    assert room.fit(["a", "new"]) is Fit.UNKNOWN


def test_memory_alone_does_not_say_how_many_models_the_target_holds() -> None:
    room = Room(memory_bytes=10, sizes={"a": 1, "b": 1})

    assert room.fit(["a", "b"]) is Fit.UNKNOWN
    assert room.seen({"a": 1, "b": 1}).fit(["a", "b"]) is Fit.FITS


def test_what_was_seen_together_fits_and_so_does_what_is_no_more_and_no_larger() -> None:
    room = Room(sizes={"c": 3, "d": 5}).seen({"a": 4, "b": 4})

    assert room.fit(["a", "b"]) is Fit.FITS
    assert room.fit(["a", "c"]) is Fit.FITS
    assert room.fit(["b", "d"]) is Fit.UNKNOWN


def test_what_drove_something_out_does_not_fit() -> None:
    room = Room().seen({"a": 4}).learned({"a": 4}, "b", {"b": 6})

    assert room.fit(["a", "b"]) is Fit.CLASHES
    assert room.sizes == {"a": 4, "b": 6}


def test_of_several_that_went_the_largest_is_what_did_not_fit_next_to_the_rest() -> None:
    # The target evicts one at a time: 2 may have gone first and not been enough.
    room = Room().seen({"a": 2, "b": 5}).learned({"a": 2, "b": 5}, "c", {"c": 6})

    (clash,) = room.clashes
    assert (clash.count, clash.size_bytes) == (2, 11)


def test_an_expected_size_counts_until_the_residency_was_loaded() -> None:
    room = Room(residents=2, memory_bytes=10, sizes={"a": 4}).expecting({"a": 9, "b": 6})

    assert room.fit(["a", "b"]) is Fit.FITS
    assert room.seen({"b": 7}).fit(["a", "b"]) is Fit.EXCEEDS


def test_as_many_have_been_seen_together_so_it_was_their_size() -> None:
    room = Room().seen({"a": 1, "b": 1}).learned({"x": 8}, "y", {"y": 8})

    assert room.seen({"big": 20}).fit(["a", "b"]) is Fit.FITS
    huge = Room(sizes={"a": 9, "b": 9, "c": 1}, seen_count=3, seen_bytes=4, clashes=room.clashes)
    assert huge.fit(["a", "b"]) is Fit.CLASHES


def test_as_much_has_been_seen_together_so_it_was_their_number() -> None:
    room = Room().seen({"a": 20}).learned({"b": 1, "c": 1}, "d", {"c": 1, "d": 1})

    assert room.fit(["b", "c"]) is Fit.FITS
    assert room.fit(["b", "c", "d"]) is Fit.CLASHES
    assert room.fit(["b", "c", "unknown"]) is Fit.CLASHES


def test_it_remembers_the_sizes_that_were_seen_last() -> None:
    room = Room().seen({"first": 5})
    for number in range(2 * SIZES_KEPT):
        room = room.seen({"first": 5, f"m{number}": 1})

    assert len(room.sizes) == SIZES_KEPT
    assert {"first", f"m{2 * SIZES_KEPT - 1}", f"m{2 * SIZES_KEPT - 2}"} <= set(room.sizes)
    assert "m0" not in room.sizes


def test_the_newest_observation_wins() -> None:
    clashed = Room().seen({"a": 4}).learned({"a": 4}, "b", {"b": 6})

    assert clashed.seen({"a": 4, "b": 6}).fit(["a", "b"]) is Fit.FITS


def test_a_load_that_failed_teaches_nothing_about_who_fits() -> None:
    room = Room().seen({"a": 4})

    assert room.learned({"a": 4}, "b", {}).clashes == ()


def test_a_residency_that_is_loaded_anew_with_another_size_is_known_by_the_new_one() -> None:
    room = Room().seen({"a": 4}).seen({"a": 7})

    assert room.sizes == {"a": 7}


def test_what_somebody_else_loaded_counts_as_loaded() -> None:
    room = Room().seen({"a": 4, "somebody's": 9})

    assert (room.seen_count, room.seen_bytes) == (2, 13)


def test_what_was_learned_survives_as_plain_values_and_what_is_stated_comes_anew() -> None:
    room = Room(residents=2).seen({"a": 4}).learned({"a": 4, "c": 1}, "b", {"b": 6, "c": 1})

    plain = json.loads(json.dumps(room.as_plain()))

    assert room_of(plain, residents=2) == room
    assert room_of({}) == Room()


sets = st.lists(st.sets(st.sampled_from("abcdef"), min_size=1, max_size=5), max_size=30)


@settings(deadline=None)
@given(
    sets,
    st.integers(1, 4),
    st.integers(8, 30),
    st.fixed_dictionaries({queue: st.integers(1, 10) for queue in "abcdef"}),
)
def test_what_is_learned_from_a_target_never_contradicts_it(
    asked: list[set[str]], residents: int, size_bytes: int, sizes: dict[str, int]
) -> None:
    memory, room = Memory(residents, size_bytes, sizes), Room()
    loaded: list[str] = []
    for queues in asked:
        for queue in sorted(queues - set(loaded)):
            before = memory.listed(loaded)
            while not memory.holds([*loaded, queue]):
                loaded.pop(0)
            loaded.append(queue)
            room = room.learned(before, queue, memory.listed(loaded))
    for queues in asked:
        expected = {Fit.FITS, Fit.UNKNOWN} if memory.holds(queues) else {Fit.CLASHES, Fit.UNKNOWN}
        assert room.fit(queues) in expected


@pytest.mark.parametrize("plain", [{"sizes": None}, {"clashes": "x"}, {"seen_count": None}])
def test_values_of_an_older_version_are_forgotten(plain: dict[str, object]) -> None:
    assert room_of(plain).fit(["a", "b"]) is Fit.UNKNOWN


def test_a_model_is_loaded_once_whatever_its_options() -> None:
    room = Room(residents=3, memory_bytes=100, sizes={"model.a": 1, "model.a~1": 1, "model.b": 1})

    assert room.fit(["model.a", "model.b"]) is Fit.FITS
    assert room.fit(["model.a", "model.a~1"]) is Fit.CLASHES
