"""Time goes from event to event, and each event is a step of the worker."""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from foreman.worker import events
from foreman.worker.effects import Effect
from foreman.worker.events import Event
from foreman.worker.state import Setup, State
from foreman.worker.step import step

# Without an event from outside, a worker makes some steps a second by its own clocks.
MOST_TICKS_PER_S = 60


@dataclass(slots=True)
class Faults:
    """What goes wrong; the probabilities are of one occasion each."""

    late_messages: float = 0.0
    lost_messages: float = 0.0
    double_messages: float = 0.0
    dropped_tasks: float = 0.0
    failed_loads: float = 0.0
    has_database: bool = True
    has_broker: bool = True
    is_sick: bool = False


class WithClock:
    """An agenda, and the worker; effects go to the methods that are named after them."""

    def __init__(self, setup: Setup, seed: int) -> None:
        self.random, self.seed = Random(seed), seed
        self.faults = Faults()
        self.state = State(setup, 0.0)
        self.now = 0.0
        self.ticks = 0  # in this second, with nothing else happening
        self._quiet_at = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._told_at: dict[str, float] = {}  # the last event of each thread: it keeps its order

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), act))

    def soon(self, least_s: float = 0.0002, most_s: float = 0.005) -> float:
        return self.random.uniform(least_s, most_s)

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            at = self._agenda[0][0] if self._agenda else math.inf
            if min(at, self.state.wake_at) > until:
                self.now = until
                return
            if at <= self.state.wake_at:
                self.now, _, act = heapq.heappop(self._agenda)
                act()
            else:
                self.now = self.state.wake_at
                self._tick()

    def _tick(self) -> None:
        if self.now - self._quiet_at > 1:
            self.ticks, self._quiet_at = 0, self.now
        self.ticks += 1
        assert self.ticks < MOST_TICKS_PER_S, "the worker asks for steps"
        self._tell(events.Tick())

    def _say(self, thread: str, event: Event, seconds: float) -> None:
        """A thread tells the worker of it, in the order in which it saw things."""
        at = max(self.now + seconds, self._told_at.get(thread, 0.0))
        self._told_at[thread] = at
        self.after(at - self.now, lambda: self._tell(event))

    def _tell(self, event: Event) -> None:
        if not isinstance(event, events.Tick | events.Viewed | events.Observed | events.Empty):
            self.ticks = 0
        self.state, done = step(self.state, event, self.now)
        assert self.state.wake_at > self.now, f"{event} leads to a step at once"
        self._check(done)
        for effect in done:
            handler = getattr(self, f"_do_{type(effect).__name__.lower()}", None)
            if handler is not None:
                handler(effect)

    def _check(self, done: list[Effect]) -> None:
        """What is promised at each step."""
