"""Periodic tasks: each goes on whatever the others do, and whatever becomes of its own turns."""

import logging
import threading
from collections.abc import Iterator

import pytest

from foreman.errors import DatabaseUnavailable
from foreman.periodic import PeriodicTasks
from tests.stack import wait_for

SOON_S = 0.001


@pytest.fixture
def tasks() -> Iterator[PeriodicTasks]:
    tasks = PeriodicTasks()
    yield tasks
    tasks.stop(10)


def test_a_task_runs_at_once_and_again_and_again(tasks: PeriodicTasks) -> None:
    turns: list[str] = []

    tasks.start("count", SOON_S, lambda: turns.append(threading.current_thread().name))

    wait_for(lambda: len(turns) >= 3)
    assert set(turns) == {"count"}


def test_a_task_that_hangs_holds_up_no_other(tasks: PeriodicTasks) -> None:
    goes_on, turns = threading.Event(), [0]

    def count() -> None:
        turns[0] += 1

    tasks.start("hangs", SOON_S, lambda: goes_on.wait(10))
    tasks.start("count", SOON_S, count)

    wait_for(lambda: turns[0] >= 3)
    goes_on.set()


@pytest.mark.parametrize(
    ("error", "level"), [(DatabaseUnavailable(), "WARNING"), (ValueError("a defect"), "ERROR")]
)
def test_a_task_that_fails_is_logged_and_tried_again(
    tasks: PeriodicTasks, caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    errors = [error]
    is_done = threading.Event()

    def fail_once() -> None:
        if errors:
            raise errors.pop()
        is_done.set()

    with caplog.at_level(logging.INFO):
        tasks.start("fails", SOON_S, fail_once)
        assert is_done.wait(10)

    (record,) = caplog.records
    assert (record.message, record.levelname) == ("periodic task failed", level)
    assert vars(record)["task"] == "fails"


def test_the_period_is_asked_for_after_each_turn(tasks: PeriodicTasks) -> None:
    order: list[str] = []

    def period_s() -> float:
        order.append("period")
        return SOON_S if len(order) < 6 else 60.0

    tasks.start("slower", period_s, lambda: order.append("turn"))

    wait_for(lambda: len(order) == 6)
    assert order == ["turn", "period"] * 3


def test_tasks_end_between_their_turns(tasks: PeriodicTasks) -> None:
    turn = threading.Event()
    tasks.start("rare", 60, turn.set)
    assert turn.wait(10)

    assert tasks.stop(10)


def test_a_task_that_does_not_end_is_not_waited_for_longer_than_the_limit(
    tasks: PeriodicTasks, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on = threading.Event()
    tasks.start("hangs", SOON_S, lambda: goes_on.wait(10))

    assert not tasks.stop(0.05)
    assert vars(caplog.records[-1])["tasks"] == ["hangs"]
    goes_on.set()
