"""A lane: in order, one at a time, and no failure ends it."""

import threading

import pytest

from foreman.core.lease import Lease
from foreman.worker.lane import Lane, LeaseLane


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


def test_work_that_hangs_for_a_lost_lease_does_not_hold_up_that_of_the_next() -> None:
    goes_on, has_begun, is_done = threading.Event(), threading.Event(), threading.Event()
    lane = LeaseLane("loads")
    lane.start()
    old, new = Lease("gpu1", 1), Lease("gpu2", 7)

    def hangs() -> None:
        has_begun.set()
        goes_on.wait(20)

    lane.put(old, hangs)
    assert has_begun.wait(10)
    lane.put(new, is_done.set)

    assert is_done.wait(10)
    assert lane.stop(10)
    goes_on.set()


def test_work_of_one_lease_runs_in_its_order() -> None:
    ran: list[int] = []
    lane = LeaseLane("loads")
    lane.start()

    for number in range(5):
        lane.put(Lease("gpu", 1), lambda number=number: ran.append(number))  # type: ignore[misc]  # a lambda that binds its number

    assert lane.stop(10)
    assert ran == [0, 1, 2, 3, 4]
