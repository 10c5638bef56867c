"""The pulse of something that is done again and again: when it last went well, what it failed with.

Who judges by it asks nobody, so it cannot hang with what it judges.
"""

import time


class Pulse:
    """Written by the thread that does it, read by any."""

    def __init__(self) -> None:
        self._beat_at: float | None = None
        self._problem = ""

    def beat(self) -> None:
        """It has gone well just now."""
        self._problem, self._beat_at = "", time.monotonic()

    def fail(self, problem: str) -> None:
        """It has failed just now."""
        self._problem = problem

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed."""
        return bool(self._problem)

    def problem(self, silence_s: float) -> str:
        """What is wrong: the last failure, or that nothing came for `silence_s`; empty: nothing."""
        if self._problem:
            return self._problem
        if self._beat_at is None:
            return "has not answered yet"
        age_s = time.monotonic() - self._beat_at
        return f"has not answered for {age_s:.0f} s" if age_s > silence_s else ""
