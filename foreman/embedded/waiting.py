"""Waiting: every wait of a start is bounded, polls a condition, and ends when the user says stop.

Signals only set a flag here. An exception raised inside a signal handler could strike between a
fork and the line that remembers the child, and leave a process behind.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType

from foreman.errors import ForemanError

POLL_S = 0.05


class StartFailed(ForemanError):
    """foreman cannot be started here."""

    code = "start_failed"


class Stopped(Exception):
    """The user asked to stop (Ctrl-C, SIGTERM or a closed terminal)."""


class StopRequest:
    """How often the user asked to stop: once is politely, twice is at once."""

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._note)

    def check(self) -> None:
        """Raise Stopped once the user asked; called between the steps of a start."""
        if self.count:
            raise Stopped

    def is_urgent(self) -> bool:
        return self.count > 1

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.count += 1


def no_check() -> None:
    """Nobody can interrupt: the tests' waits."""


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, check: Callable[[], None] = no_check
) -> bool:
    """Poll until `condition` holds; False when it did not within `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not condition():
        check()
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
