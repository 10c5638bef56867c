"""Places for exchanges: the dead cannot take those of the living."""

from uuid import uuid4

from foreman.core.lanes import PROVEN_LIMIT, SOON_S, Lanes

PLACES = 8


def proven(lanes: Lanes, receiver: str, took_s: float = 0.1) -> None:
    exchange = uuid4()
    lanes.enter(exchange, receiver, 0.0)
    lanes.leave(exchange, took_s)


def test_at_first_nobody_is_known_and_half_of_the_places_are_free() -> None:
    room = Lanes(PLACES).room(0.0)

    assert (room.total, room.unproven, room.proven) == (PLACES, PLACES // 2, ())


def test_who_answers_soon_is_proven() -> None:
    lanes = Lanes(PLACES)
    proven(lanes, "a")

    assert lanes.room(1.0).proven == ("a",)


def test_who_answers_late_is_proven_no_more() -> None:
    lanes = Lanes(PLACES)
    proven(lanes, "a")
    proven(lanes, "a", took_s=SOON_S + 0.1)

    assert lanes.room(1.0).proven == ()


def test_unproven_receivers_take_half_of_the_places_and_no_more() -> None:
    lanes = Lanes(PLACES)
    for number in range(PLACES // 2):
        lanes.enter(uuid4(), f"dead{number}", 0.0)

    room = lanes.room(0.1)

    assert (room.total, room.unproven) == (PLACES // 2, 0)


def test_a_proven_receiver_that_is_waited_for_too_long_counts_with_the_unproven() -> None:
    lanes = Lanes(PLACES)
    proven(lanes, "a")
    lanes.enter(uuid4(), "a", 1.0)

    assert lanes.room(1.0).unproven == PLACES // 2
    late = lanes.room(1.0 + SOON_S + 0.1)
    assert (late.unproven, late.proven) == (PLACES // 2 - 1, ())


def test_two_claims_of_one_delivery_are_two_exchanges() -> None:
    lanes = Lanes(PLACES)
    delivery = uuid4()
    for fence in (1, 2):
        lanes.enter((delivery, fence), "a", 0.0)
    assert lanes.count == 2

    for fence in (1, 2):
        lanes.leave((delivery, fence), 0.1)

    assert lanes.room(0.2).total == PLACES


def test_not_more_receivers_are_remembered_than_the_limit() -> None:
    lanes = Lanes(PLACES)
    for number in range(PROVEN_LIMIT + 1):
        proven(lanes, str(number))

    names = lanes.room(1.0).proven
    assert len(names) == PROVEN_LIMIT
    assert "0" not in names
