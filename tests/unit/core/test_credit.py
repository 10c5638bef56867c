"""Flow control of one stream, decided purely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.credit import (
    IN_FLIGHT_BYTES,
    LEAST_WINDOW_BYTES,
    Receipt,
    Window,
    window_bytes,
)

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("wanted", "slots", "size"),
    [
        (2 * MIB, 1, 2 * MIB),
        (2 * MIB, 4, 2 * MIB),
        (2 * MIB, 8, MIB),
        (64 * MIB, 1, 8 * MIB),
        (2 * MIB, 64, 128 * 1024),
        (2 * MIB, 1000, LEAST_WINDOW_BYTES),
        (1, 1, LEAST_WINDOW_BYTES),
    ],
)
def test_a_window_is_what_was_wanted_or_its_share_of_what_a_broker_bears(
    wanted: int, slots: int, size: int
) -> None:
    assert window_bytes(wanted, slots=slots) == size


@given(wanted=st.integers(1, 2**40), slots=st.integers(1, IN_FLIGHT_BYTES // LEAST_WINDOW_BYTES))
def test_all_windows_together_stay_below_the_limit_of_a_broker(wanted: int, slots: int) -> None:
    assert slots * window_bytes(wanted, slots=slots) <= IN_FLIGHT_BYTES


def test_a_window_is_full_when_a_window_was_not_taken_yet() -> None:
    window = Window(100, sent_bytes=99)
    assert window.is_open
    window.sent_bytes += 50
    assert not window.is_open
    assert window.credit(49)
    assert not window.is_open
    assert window.credit(50)
    assert window.is_open


def test_a_report_that_comes_late_takes_nothing_back() -> None:
    window = Window(100, sent_bytes=120, taken_bytes=60)

    assert not window.credit(30)
    assert not window.credit(60)
    assert window.taken_bytes == 60


@given(pieces=st.lists(st.integers(1, 40), max_size=50))
def test_a_worker_that_hears_every_report_never_waits_for_ever(pieces: list[int]) -> None:
    window, receipt = Window(100), Receipt(100)
    waiting: list[int] = []
    for piece in pieces:
        while not window.is_open:
            assert waiting, "the client has all of it, and the worker was not told"
            total = receipt.take(1, waiting.pop(0))
            if total is not None:
                window.credit(total)
        window.sent_bytes += piece
        waiting.append(piece)


def test_a_stream_of_less_than_half_a_window_is_not_reported() -> None:
    receipt = Receipt(100)

    assert [receipt.take(1, 7) for _ in range(7)] == [None] * 7
    assert receipt.take(1, 1) == 50


def test_a_worker_that_asks_hears_the_total_once() -> None:
    receipt = Receipt(100)
    assert receipt.take(1, 10) is None

    receipt.is_asked = True

    assert receipt.take(1, 0) == 10
    assert receipt.take(1, 5) is None


def test_a_newer_run_is_counted_from_its_own_beginning() -> None:
    receipt = Receipt(100)
    assert receipt.take(1, 60) == 60

    assert receipt.take(2, 10) is None
    assert receipt.take(2, 40) == 50
