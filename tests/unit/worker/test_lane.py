"""A lane: in order, one at a time, and no failure ends it."""

import threading

import pytest

from foreman.worker.lane import Lane


def test_work_runs_in_its_order_and_a_failed_one_holds_up_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[int] = []
    lane = Lane("told")
    lane.start()

    lane.put(lambda: ran.append(1))
    lane.put(lambda: ran[9])
    lane.put(lambda: ran.append(2))

    assert lane.stop(10)
    assert ran == [1, 2]
    assert [(record.message, vars(record)["lane"]) for record in caplog.records] == [
        ("work failed", "told")
    ]


def test_work_that_hangs_does_not_hold_up_the_end_for_longer_than_the_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    goes_on, has_begun = threading.Event(), threading.Event()
    lane = Lane("loads")
    lane.start()
    lane.put(has_begun.set)
    lane.put(lambda: goes_on.wait(10))
    assert has_begun.wait(10)

    assert not lane.stop(0.01)
    assert [record.message for record in caplog.records] == ["lane did not stop in time"]

    goes_on.set()
    assert lane.stop(10)


def test_a_lane_that_was_never_started_ends_at_once() -> None:
    assert Lane("loads").stop(0.0)
