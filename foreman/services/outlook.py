"""Look at the queues in the background: who waits, and what each of them may expect.

The requests that need it (the limits, `/queues`, `/jobs/{id}`) only read what is kept here in the
runtime: `room`, `queues`, `leased` and `prospect`.
"""

import time
from collections.abc import Collection

from foreman.core.steps import finished
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime
from foreman.services.prospects import prospects
from foreman.services.rules import visit_rules
from foreman.store.queue_rows import read_queues
from foreman.store.targets import read_targets

# How long a computation may keep the event loop, and how long it then leaves it to others.
PIECE_S = 0.005
PAUSE_S = 0.005


def read_facts(runtime: WebRuntime) -> None:
    """Read from the rows which targets a worker drives and what waits."""
    try:
        _read(runtime)
    except DatabaseUnavailable:
        runtime.reads.fail("does not answer")
        raise
    runtime.reads.beat()


def _read(runtime: WebRuntime) -> None:
    runtime.room.begin_reading()
    with runtime.database.statement() as connection:
        # A worker that renews its lease a little late still drives its target.
        rows = read_targets(connection, grace_s=2 * runtime.settings.lease_s)
        runtime.queues = read_queues(connection)
    runtime.room.end_reading(runtime.queues.waiting)
    runtime.leased = frozenset(row.name for row in rows if row.is_leased)


def look_ahead(runtime: WebRuntime) -> float:
    """Renew the forecasts from the facts that are here; returns the seconds of work it took."""

    def having(model: str) -> Collection[str]:
        found = runtime.catalog.look_up(model)
        return found.targets if found else ()

    pieces = _Pieces()
    settings, promises = runtime.settings, runtime.prospect.promises
    rules = visit_rules(settings)
    work = prospects(runtime.queues, rules, settings.targets, having, promises)
    runtime.prospect = finished(work, pieces.pause)
    return pieces.took_s


class _Pieces:
    """The pieces of a computation, with a pause between two of them."""

    def __init__(self) -> None:
        self._ended_s = 0.0
        self._began_at = time.perf_counter()

    @property
    def took_s(self) -> float:
        """What all pieces took, without the pauses."""
        return self._ended_s + time.perf_counter() - self._began_at

    def pause(self) -> None:
        """Pause when the piece has been long enough."""
        took_s = self.took_s
        if took_s - self._ended_s >= PIECE_S:
            time.sleep(PAUSE_S)
            self._ended_s, self._began_at = took_s, time.perf_counter()
