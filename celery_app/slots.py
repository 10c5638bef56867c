"""The slots of the target that this worker drives: how many jobs run, and their messages.

A message is acknowledged when its row is claimed; its slot is held until the target is at rest.
"""

import threading
from collections.abc import Callable


class Slots:
    """Counts running jobs; every method may be called from any thread."""

    def __init__(self) -> None:
        self._acknowledge: dict[str, Callable[[], None]] = {}
        self._put_back: dict[str, Callable[[], None]] = {}
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        return len(self._acknowledge)

    def holds(self, task_id: str) -> bool:
        """Whether the task runs here; its message may come twice."""
        return task_id in self._acknowledge

    def take(
        self, task_id: str, acknowledge: Callable[[], None], put_back: Callable[[], None]
    ) -> None:
        """Hold a slot for a task whose message `acknowledge` settles, or `put_back` returns."""
        with self._changed:
            self._acknowledge[task_id] = acknowledge
            self._put_back[task_id] = put_back

    def acknowledge(self, task_id: str) -> None:
        """Settle the task's message; its slot stays held."""
        with self._changed:
            acknowledge = self._acknowledge.get(task_id)
            if acknowledge is not None:
                self._acknowledge[task_id] = _nothing
                self._changed.notify_all()
        if acknowledge is not None:
            acknowledge()

    def free(self, task_id: str, *, is_settled: bool = True) -> None:
        """Let the slot go, and settle the message if that was not done; may be repeated.

        With `is_settled` false it goes back to its queue instead: its row was not looked at.
        """
        with self._changed:
            acknowledge = self._acknowledge.pop(task_id, _nothing)
            put_back = self._put_back.pop(task_id, _nothing)
            self._changed.notify_all()
        if acknowledge is not _nothing and not is_settled:
            put_back()
        else:
            acknowledge()

    def wait_for_claim(self, task_id: str, timeout_s: float) -> None:
        """Wait until the task's message may be settled, or the task has ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._acknowledge.get(task_id, _nothing) is _nothing, timeout_s
            )

    def wait_for_free(self, slots: int, timeout_s: float) -> bool:
        """Wait until fewer than `slots` jobs run."""
        with self._changed:
            return self._changed.wait_for(lambda: self.running < slots, timeout_s)


def _nothing() -> None:
    """What is settled already."""
