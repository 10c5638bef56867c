"""The budget of request bodies: what is held, what finds room, what is given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.api.budget import UNCOUNTED_BYTES, Budget, Reservation
from foreman.errors import BodiesFull

KIB = 1024
LIMIT = 1024 * KIB


def test_what_finds_no_room_is_refused_and_changes_nothing() -> None:
    budget = Budget(LIMIT)
    first, second = Reservation(budget), Reservation(budget)
    first.resize(LIMIT - 100 * KIB)

    with pytest.raises(BodiesFull):
        second.resize(101 * KIB)
    second.resize(100 * KIB)
    with pytest.raises(BodiesFull):
        second.resize(101 * KIB)

    assert budget.held_bytes == LIMIT
    first.release()
    first.release()
    assert budget.held_bytes == 100 * KIB


def test_a_small_body_always_finds_room() -> None:
    budget = Budget(LIMIT)
    Reservation(budget).resize(LIMIT)

    Reservation(budget).resize(UNCOUNTED_BYTES)
    budget.check_room(UNCOUNTED_BYTES)

    assert budget.held_bytes == LIMIT
    with pytest.raises(BodiesFull):
        budget.check_room(UNCOUNTED_BYTES + 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, LIMIT)), max_size=50))
def test_a_budget_is_never_overdrawn_and_whole_again_at_the_end(
    resizes: list[tuple[int, int]],
) -> None:
    budget = Budget(LIMIT)
    reservations = [Reservation(budget) for _ in range(4)]

    for index, size in resizes:
        try:
            reservations[index].resize(size)
        except BodiesFull:
            reservations[index].release()
        assert 0 <= budget.held_bytes <= LIMIT
    for each in reservations:
        each.release()

    assert budget.held_bytes == 0
