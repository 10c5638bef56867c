"""What happened on the server, for tests to read: loads, unloads, generations, and their peaks."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Generation:
    """One request for generation from its arrival to its end; an entry of the log when it ends."""

    path: str
    job_id: str | None
    model: str
    arrived: float
    event: str = "generation"
    start: float | None = None  # it got its slot
    tokens: int = 0
    ended: str | None = None  # done, client_gone, fault; None: refused before it began


class EventLog:
    """The list of events, and what runs at this moment."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._running: Counter[str] = Counter()
        self._peak = 0
        self._overlaps = 0

    def add(self, event: str, model: str, **facts: object) -> None:
        self.events.append({"at": time.time(), "event": event, "model": model, **facts})

    def close(self, generation: Generation) -> None:
        """Write a generation down; what was refused before it could start is not one."""
        if generation.ended is None:
            return
        self.add(
            generation.event,
            generation.model,
            path=generation.path,
            job_id=generation.job_id,
            arrived=generation.arrived,
            start=generation.start,
            end=time.time(),
            tokens=generation.tokens,
            ended=generation.ended,
        )

    @contextmanager
    def running(self, generation: Generation) -> Iterator[None]:
        """Count a generation while it holds a slot; embeddings are not counted."""
        generation.start = time.time()
        if generation.event != "generation":
            yield
            return
        self._running[generation.model] += 1
        self._peak = max(self._peak, self._running.total())
        self._overlaps = max(self._overlaps, sum(n > 0 for n in self._running.values()))
        try:
            yield
        finally:
            self._running[generation.model] -= 1

    def clear(self) -> None:
        self.events.clear()
        self._peak = self._running.total()
        self._overlaps = sum(n > 0 for n in self._running.values())

    def state(self) -> dict[str, Any]:
        return {
            "generating": {model: n for model, n in self._running.items() if n},
            "peak": self._peak,
            "overlaps": self._overlaps,
        }
