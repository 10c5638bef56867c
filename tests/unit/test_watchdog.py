"""The watchdog: what it takes for deafness, and what it does about it."""

import time

import pytest

from foreman.errors import DatabaseUnavailable
from foreman.services.watchdog import DEAF_S, Watchdog


class Drain:
    """A drain as the watchdog sees it, and what was done to it."""

    def __init__(self) -> None:
        self.may_take = True
        self.longest_wait_s: float | DatabaseUnavailable = 0.0
        self.done: list[str] = []
        self.watchdog = Watchdog(
            may_take=lambda: self.may_take,
            longest_wait_s=self._longest_wait_s,
            reconnect=lambda: self.done.append("reconnect"),
            give_up=lambda: self.done.append("give up"),
        )
        self._now = time.monotonic()

    def _longest_wait_s(self) -> float:
        if isinstance(self.longest_wait_s, DatabaseUnavailable):
            raise self.longest_wait_s
        return self.longest_wait_s

    def pass_time(self, duration_s: float) -> None:
        """Turn by turn, each second."""
        begin = self._now
        self._now = begin + duration_s
        for second in range(int(duration_s)):
            self.watchdog.turn(begin + second + 1)


@pytest.fixture
def drain() -> Drain:
    return Drain()


def test_a_worker_that_takes_nothing_while_jobs_wait_gets_a_new_connection(drain: Drain) -> None:
    drain.longest_wait_s = 2 * DEAF_S

    drain.pass_time(DEAF_S + 2)

    assert drain.done == ["reconnect"]


def test_if_that_does_not_help_it_ends_to_be_started_again(drain: Drain) -> None:
    drain.longest_wait_s = 3 * DEAF_S

    drain.pass_time(2 * DEAF_S + 4)

    assert drain.done == ["reconnect", "give up"]


def test_jobs_that_came_just_now_prove_nothing(drain: Drain) -> None:
    drain.longest_wait_s = DEAF_S - 1

    drain.pass_time(5 * DEAF_S)

    assert drain.done == []


def test_a_busy_worker_need_not_take_any(drain: Drain) -> None:
    drain.may_take, drain.longest_wait_s = False, 10 * DEAF_S

    drain.pass_time(5 * DEAF_S)

    assert drain.done == []


def test_an_outage_of_the_database_proves_nothing(drain: Drain) -> None:
    drain.longest_wait_s = DatabaseUnavailable()

    drain.pass_time(3 * DEAF_S)

    assert drain.done == []


def test_a_worker_that_hears_again_is_heard_before_it_is_ended(drain: Drain) -> None:
    drain.longest_wait_s = 2 * DEAF_S
    drain.pass_time(DEAF_S + 2)
    drain.longest_wait_s = 0.0
    drain.pass_time(DEAF_S + 2)
    drain.longest_wait_s = 2 * DEAF_S

    drain.pass_time(DEAF_S + 2)

    assert drain.done == ["reconnect", "reconnect"]
