"""The watchdog of the drain: a worker that takes nothing while jobs wait for it has gone deaf.

Whatever the cause may be (a consumer that the broker forgot, a thread that hangs in a socket), the
cure is the same: a new connection, and if that does not help, a new process.
"""

import logging
import time
from collections.abc import Callable

from foreman.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# Longer than a lost message takes to be sent again (a minute), so that silence is not the broker's.
DEAF_S = 90.0


class Watchdog:
    """`turn` is called every second or so; what it sees and does is given."""

    def __init__(
        self,
        *,
        may_take: Callable[[], bool],
        longest_wait_s: Callable[[], float],
        reconnect: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        """`longest_wait_s`: of the jobs that this worker should have taken; 0 when none waits."""
        self._may_take = may_take
        self._longest_wait_s = longest_wait_s
        self._reconnect = reconnect
        self._give_up = give_up
        self._quiet_since = time.monotonic()
        self._has_reconnected = False

    def taken(self) -> None:
        """A job was taken: the worker hears."""
        self._quiet_since, self._has_reconnected = time.monotonic(), False

    def turn(self, now: float) -> None:
        """Look, and do what has to be done; `now` is of time.monotonic."""
        # 1. It has its hands full, or no target to work for: it need not listen.
        if not self._may_take():
            self._quiet_since = now
            return
        # 2. It has been quiet for a short time only.
        if now - self._quiet_since < DEAF_S:
            return
        # 3. Nothing that it should have taken has waited for so long.
        try:
            is_deaf = self._longest_wait_s() >= DEAF_S
        except DatabaseUnavailable:
            is_deaf = False
        if not is_deaf:
            self._quiet_since, self._has_reconnected = now, False
            return
        # 4. It is deaf: first a new connection, then a new process.
        self._quiet_since = now
        if self._has_reconnected:
            log.critical("worker takes no jobs and ends, to be started again")
            self._give_up()
        else:
            log.error("worker takes no jobs while some wait: new connection")
            self._has_reconnected = True
            self._reconnect()
