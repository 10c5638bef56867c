"""Who waits, counted: what was read, and what was accepted since."""

from foreman.core.queues import JobClass
from foreman.core.room import Room
from foreman.core.waiting import Waiting


def waiting(queue: str, count: int = 1, *, model: str = "m") -> Waiting:
    return Waiting(queue, JobClass.BATCH, None, model, 1.0, count)


def read(room: Room, *rows: Waiting) -> None:
    room.begin_reading()
    room.end_reading(rows)


def test_rows_and_what_was_accepted_since_count_together() -> None:
    room = Room()
    read(room, waiting("a", 2), waiting("a", 3), waiting("b", model="n"))

    room.add("a", "m")
    room.add("c", "m")

    assert (room.count("a"), room.count("b"), room.count("c"), room.count("d")) == (6, 1, 1, 0)
    assert room.total == 8
    assert (set(room.queues_of("m")), set(room.queues_of("n"))) == ({"a", "c"}, {"b"})
    assert room.residencies == 3


def test_a_new_reading_replaces_what_it_has_seen() -> None:
    room = Room()
    room.add("a", "m")

    read(room, waiting("b"))

    assert (room.count("a"), room.total, room.residencies) == (0, 1, 1)
    assert set(room.queues_of("m")) == {"b"}


def test_what_is_accepted_while_the_rows_are_read_is_never_forgotten() -> None:
    room = Room()
    read(room, waiting("a", 5))

    room.begin_reading()
    assert room.count("a") == 5  # as before, until the rows are here
    room.add("a", "m")
    room.end_reading([waiting("a", 5)])

    assert room.count("a") == 6


def test_asking_for_a_queue_that_is_not_there_makes_none() -> None:
    room = Room()

    assert (room.count("a"), len(room.queues_of("m"))) == (0, 0)
    assert (room.residencies, room.total) == (0, 0)
