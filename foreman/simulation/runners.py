"""A loaded model and its slots: so many generations at once, the others wait in order.

Loading it and letting it go are the scheduler's.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import gevent
from gevent.event import Event

from foreman.simulation.ask import RUNNER_DEFAULTS
from foreman.simulation.library import Model


class Slots:
    """First come, first served; who leaves while waiting leaves no trace."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy = 0
        self._waiting: deque[Event] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @contextmanager
    def one(self) -> Iterator[None]:
        self._take()
        try:
            yield
        finally:
            self._give()

    def _take(self) -> None:
        if self.busy < self.count and not self._waiting:
            self.busy += 1
            return
        turn = Event()
        self._waiting.append(turn)
        try:
            turn.wait()
        except BaseException:
            if turn.is_set():
                self._give()
            else:
                self._waiting.remove(turn)
            raise

    def _give(self) -> None:
        # The slot goes from hand to hand: nobody who comes later can slip in between.
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.busy -= 1


class Runner:
    """A loaded model."""

    def __init__(self, model: Model, options: Mapping[str, object], slots: int) -> None:
        self.model = model
        self.options = dict(options)
        # An embedding model has one slot whatever OLLAMA_NUM_PARALLEL says.
        self.slots = Slots(1 if "embedding" in model.capabilities else slots)
        self.users = 0
        self.keep_alive_s = 0.0
        self.expires_at = 0.0
        self.timer: gevent.Greenlet[..., None] | None = None
        self.leaves_because = "expired"

    def serves(self, options: Mapping[str, object]) -> bool:
        """Whether a request with these options needs no reload; num_gpu -1 leaves it open."""
        ignored = "num_gpu" if options["num_gpu"] == -1 else ""
        return all(options[key] == self.options[key] for key in options if key != ignored)

    def changed_options(self) -> dict[str, object]:
        return {k: v for k, v in self.options.items() if v != RUNNER_DEFAULTS[k]}
