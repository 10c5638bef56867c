"""Which errors are worth another attempt, and after what pause."""

import pytest

from foreman.core.attempts import counts, is_refusal, may_run_again, pause_s
from foreman.errors import (
    AnswerTooLarge,
    ChannelLost,
    DeadlinePassed,
    ForemanError,
    JobCancelled,
    JobTooLong,
    LoadFailed,
    RequestRefused,
    ShuttingDown,
    TargetCut,
    TargetFailed,
    TargetRefused,
    TargetTimeout,
    TargetUnreachable,
)

TRANSIENT = [TargetCut, TargetFailed, TargetTimeout, TargetUnreachable, LoadFailed]
FINAL = [
    TargetRefused, AnswerTooLarge, JobTooLong, DeadlinePassed, RequestRefused, JobCancelled,
    ChannelLost,
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, True), (404, True), (499, True), (501, True)]
    + [(status, False) for status in (200, 302, 408, 429, 500, 502, 503)],
)
def test_a_refusal_is_an_answer_that_would_come_again(status: int, expected: bool) -> None:
    assert is_refusal(status) is expected


@pytest.mark.parametrize("error", TRANSIENT)
def test_a_transient_error_is_tried_again_while_attempts_are_left(
    error: type[ForemanError],
) -> None:
    assert may_run_again(error(), attempt=2, max_attempts=3)
    assert not may_run_again(error(), attempt=3, max_attempts=3)


@pytest.mark.parametrize("error", FINAL)
def test_other_errors_are_final(error: type[ForemanError]) -> None:
    assert not may_run_again(error(), attempt=1, max_attempts=3)


@pytest.mark.parametrize("error", [*TRANSIENT, ShuttingDown])
def test_what_somebody_has_seen_does_not_start_over(error: type[ForemanError]) -> None:
    assert not may_run_again(error(), attempt=1, max_attempts=3, is_seen=True)


def test_a_worker_that_stops_costs_no_attempt() -> None:
    assert may_run_again(ShuttingDown(), attempt=3, max_attempts=3)
    assert not counts(ShuttingDown())
    assert counts(TargetCut())


def test_a_pause_doubles_up_to_a_minute() -> None:
    pauses = [pause_s(attempt, luck=0) for attempt in (1, 2, 3, 5, 6, 1000)]

    assert pauses == [2, 4, 8, 32, 60, 60]


def test_chance_spreads_a_pause_by_a_fifth() -> None:
    assert (pause_s(1, luck=-1), pause_s(1, luck=1)) == (1.6, 2.4)
    assert pause_s(9, luck=1) == 72
