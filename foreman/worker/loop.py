"""The thread that owns the worker's state: events in, effects out.

`step` decides and is pure. What carries an effect out only hands it to another thread, so that
this one is always free for the next event. `state` is the newest one, for other threads to read.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from foreman.worker.effects import Effect, GiveUp
from foreman.worker.events import Event, Tick
from foreman.worker.state import State

log = logging.getLogger(__name__)

Step = Callable[[State, Event, float], tuple[State, Iterable[Effect]]]
Handlers = Mapping[type, Callable[[Any], object]]

# The longest wait without an event.
TICK_LIMIT_S = 60.0
# A step that fails would fail again at once: its state still says when it is to be called.
RETRY_S = 1.0
# Then the state cannot be mended: another process begins with a new one.
FAILURES_LIMIT = 10


class Loop:
    """Owns the state; `tell` and `state` may be used by any thread."""

    def __init__(self, state: State, step: Step, handlers: Handlers) -> None:
        self.state = state
        self._step = step
        self._handlers = handlers
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._failures = 0  # steps in a row
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Something has happened; returns at once."""
        self._events.put(event)

    def stop(self, limit_s: float) -> bool:
        """Decide all that was told before, and end; False when that takes longer than `limit_s`."""
        self._events.put(None)
        if self._thread.ident is None:  # it was never started
            return True
        self._thread.join(limit_s)
        if self._thread.is_alive():
            log.warning("worker's loop did not stop in time")
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=self._pause_s())
            except queue.Empty:
                event = Tick()
            if event is None:
                return
            self._turn(event)

    def _pause_s(self) -> float:
        at_least_s = RETRY_S if self._failures else 0.0
        return min(max(self.state.wake_at - time.monotonic(), at_least_s), TICK_LIMIT_S)

    def _turn(self, event: Event) -> None:
        try:
            self.state, effects = self._step(self.state, event, time.monotonic())
        except Exception:  # a defect: without this event it may go on
            log.exception("step failed", extra={"event": type(event).__name__})
            self._failures += 1
            if self._failures == FAILURES_LIMIT:
                self._carry_out(GiveUp())
            return
        self._failures = 0
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        try:
            self._handlers[type(effect)](effect)
        except Exception:  # what the effect should report is missed, and its limit passes
            log.exception("effect failed", extra={"effect": type(effect).__name__})
