"""What a web process does beside its requests: heartbeat, model lists, writes that can wait."""

import os
import queue
import socket
from functools import partial
from typing import TypeVar

from foreman.errors import DatabaseUnavailable
from foreman.periodic import RETRY_AFTER_S, PeriodicTasks
from foreman.runtime import WebRuntime
from foreman.services.cancel import cancel
from foreman.services.lists import keep_lists
from foreman.services.outlook import look_ahead, read_facts
from foreman.store import kept, runs, targets, upkeep

NOTES_EVERY_S = 0.2
FACTS_EVERY_S = 1.0
KEPT_EVERY_S = 1.0
WATCH_EVERY_S = 5.0
BEATS_PER_LEASE = 3
# The forecasts may take one part in so many of the process's time.
FORECAST_SHARE = 10
FORECAST_EVERY_S = 1.0
# A dead target delays the start by no more than this.
START_LIMIT_S = 4.0
STOP_LIMIT_S = 2.0

T = TypeVar("T")


class WebUpkeep:
    """The periodic tasks of a web process, each in a greenlet of its own."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._tasks = PeriodicTasks()
        self._forecast_took_s = 0.0

    def start(self) -> None:
        """Register this process and learn what it must know to serve its first request."""
        start = self._tasks.start
        self._beat()
        start("heartbeat", self._beat_every_s, self._beat)
        keep_lists(self._tasks, self._runtime.catalog)
        # No request before each list came once, or failed to: what is on no list is not queued.
        self._runtime.catalog.refresh(START_LIMIT_S)
        read_facts(self._runtime)
        start("facts", FACTS_EVERY_S, partial(read_facts, self._runtime))
        start("forecasts", self._forecast_every_s, self._look_ahead)
        start("kept embeddings", KEPT_EVERY_S, self._keep_embeddings)
        start("overflowed streams", NOTES_EVERY_S, self._cancel_overflowed)
        start("notes", NOTES_EVERY_S, self._write_notes)
        start("reply queue", WATCH_EVERY_S, self._runtime.inbox.watch)

    def close(self) -> None:
        """Stop, and say that this process ends."""
        self._tasks.stop(STOP_LIMIT_S)
        with self._runtime.heartbeat.statement() as connection:
            targets.unregister_web(connection, self._runtime.web_id)

    def _beat(self) -> None:
        writes = self._runtime.writes
        try:
            with self._runtime.heartbeat.statement() as connection:
                targets.register_web(
                    connection,
                    self._runtime.web_id,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    frame_key=self._runtime.frame_key,
                )
        except DatabaseUnavailable:
            writes.fail("takes no writes")
            raise
        writes.beat()

    def _beat_every_s(self) -> float:
        """Once the database is back, others judge by this beat whether our clients still wait."""
        if self._runtime.writes.has_failed:
            return RETRY_AFTER_S
        return self._runtime.settings.lease_s / BEATS_PER_LEASE

    def _look_ahead(self) -> None:
        self._forecast_took_s = look_ahead(self._runtime)

    def _forecast_every_s(self) -> float:
        return max(FORECAST_EVERY_S, FORECAST_SHARE * self._forecast_took_s)

    def _keep_embeddings(self) -> None:
        used = set(_drain(self._runtime.embedded))
        has_choice = len(self._runtime.targets) > 1
        if not (used or has_choice):
            return
        with self._runtime.database.statement() as connection:
            if used:
                kept.note_uses(connection, used)
            if has_choice:
                self._runtime.kept = kept.recently_used(
                    connection, within_s=self._runtime.settings.keep_embeddings_s
                )

    def _cancel_overflowed(self) -> None:
        for job_id in _drain(self._runtime.overflowed):
            cancel(self._runtime, job_id)

    def _write_notes(self) -> None:
        answering = _drain(self._runtime.answering)
        unsent = _drain(self._runtime.unsent)
        if not (answering or unsent):
            return
        try:
            with self._runtime.database.statement() as connection:
                if answering:
                    runs.mark_answering(connection, answering)
                if unsent:
                    upkeep.unpublish(connection, unsent)
        except DatabaseUnavailable:
            _put_back(self._runtime.answering, answering)
            _put_back(self._runtime.unsent, unsent)
            raise


def _put_back(notes: queue.SimpleQueue[T], drained: list[T]) -> None:
    for each in drained:
        notes.put(each)


def _drain(notes: queue.SimpleQueue[T]) -> list[T]:
    drained: list[T] = []
    try:
        while True:
            drained.append(notes.get_nowait())
    except queue.Empty:
        return drained
