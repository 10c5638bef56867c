"""The slots of the target that this worker drives: which tasks hold one, and their messages.

A message is acknowledged when its row is claimed; its slot is held until the target is at rest.
Then the task still records its end, and a new message of the same job may hold a slot of its own:
so a slot is let go by whom it was given to, not by the job's id.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Slot:
    """One place on the target, and the message of the task that holds it."""

    task_id: str
    acknowledge: Callable[[], None]
    put_back: Callable[[], None]
    is_settled: bool = False


class Slots:
    """Counts running jobs; every method may be called from any thread."""

    def __init__(self) -> None:
        self._held: dict[str, Slot] = {}
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        return len(self._held)

    def of(self, task_id: str) -> Slot | None:
        """The slot that the task holds."""
        return self._held.get(task_id)

    def take(
        self, task_id: str, acknowledge: Callable[[], None], put_back: Callable[[], None]
    ) -> Slot:
        """Hold a slot for a task whose message `acknowledge` settles, or `put_back` returns."""
        slot = Slot(task_id, acknowledge, put_back)
        with self._changed:
            self._held[task_id] = slot
        return slot

    def acknowledge(self, slot: Slot) -> None:
        """Settle the task's message; its slot stays held."""
        with self._changed:
            is_open, slot.is_settled = not slot.is_settled, True
            self._changed.notify_all()
        if is_open:
            _settle(slot.acknowledge)

    def free(self, slot: Slot, *, is_looked_at: bool = True) -> None:
        """Let the slot go, and settle the message if that was not done; may be repeated.

        A message whose row was not looked at goes back to its queue instead.
        """
        with self._changed:
            if self._held.get(slot.task_id) is slot:
                del self._held[slot.task_id]
            is_open, slot.is_settled = not slot.is_settled, True
            self._changed.notify_all()
        if is_open:
            _settle(slot.acknowledge if is_looked_at else slot.put_back)

    def wait_for_claim(self, slot: Slot, timeout_s: float) -> None:
        """Wait until the task's message may be settled, or the task has ended."""
        with self._changed:
            self._changed.wait_for(lambda: slot.is_settled, timeout_s)

    def wait_for_free(self, slots: int, timeout_s: float) -> bool:
        """Wait until fewer than `slots` jobs run."""
        with self._changed:
            return self._changed.wait_for(lambda: self.running < slots, timeout_s)


def _settle(settle: Callable[[], None]) -> None:
    try:
        settle()
    except Exception as exc:  # whatever the broker says: the run goes on, and its row decides
        log.warning("message not settled", extra={"error": repr(exc)})
