"""Large bodies are read a step at a time, so many at once."""

import threading
from collections.abc import Generator

import pytest

from foreman.errors import ServerBusy
from foreman.turns import SMALL_BYTES, Turns

LARGE = SMALL_BYTES + 1


def steps(count: int) -> Generator[None, None, int]:
    for _ in range(count):
        yield
    return count


def test_a_reading_is_run_to_its_end() -> None:
    assert [Turns().run(steps(count), LARGE) for count in (0, 1, 1000)] == [0, 1, 1000]


def test_a_large_body_that_finds_no_place_in_time_gets_a_503() -> None:
    turns = Turns(places=1, wait_s=0.01)
    is_reading, may_end = threading.Event(), threading.Event()

    def reading() -> Generator[None, None, str]:
        is_reading.set()
        may_end.wait(10)
        yield
        return "read"

    ended: list[str] = []
    reader = threading.Thread(target=lambda: ended.append(turns.run(reading(), LARGE)))
    reader.start()
    assert is_reading.wait(10)

    with pytest.raises(ServerBusy):
        turns.run(steps(1), LARGE)
    assert turns.run(steps(1), SMALL_BYTES) == 1  # a small one needs no place
    may_end.set()
    reader.join(10)

    assert ended == ["read"]
    assert turns.run(steps(1), LARGE) == 1


def test_a_place_is_free_again_after_an_error() -> None:
    turns = Turns(places=1, wait_s=0.01)

    def broken() -> Generator[None, None, None]:
        yield
        raise ValueError("the body is broken")

    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            turns.run(broken(), LARGE)
