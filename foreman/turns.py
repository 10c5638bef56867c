"""Read large bodies while other requests go on: a step, then everybody else's turn.

What reads is pure and stops by itself after a bounded amount of work; here it is run to its end.
"""

import threading
import time
from collections.abc import Generator
from typing import TypeVar

from foreman.core.steps import finished
from foreman.errors import ServerBusy

T = TypeVar("T")

# A smaller body is read within some milliseconds: it waits for no place.
SMALL_BYTES = 64 * 1024
PLACES = 2
WAIT_S = 30.0


class Turns:
    """The places for large bodies of one web process: each costs the others a step at a time."""

    def __init__(self, *, places: int = PLACES, wait_s: float = WAIT_S) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._wait_s = wait_s

    def run(self, steps: Generator[None, None, T], size_bytes: int) -> T:
        """The end of these steps; ServerBusy when too many large bodies are being read."""
        if size_bytes <= SMALL_BYTES:
            return finished(steps, give_turn)
        if not self._places.acquire(timeout=self._wait_s):
            raise ServerBusy("server busy, please try again: too many large requests at once")
        try:
            return finished(steps, give_turn)
        finally:
            self._places.release()


def give_turn() -> None:
    """Let everybody else do a step, under gevent; nearly nothing for a thread."""
    time.sleep(0)
