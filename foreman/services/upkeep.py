"""What a web process does beside its requests: heartbeat, model lists, writes that can wait."""

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime
from foreman.services.cancel import cancel
from foreman.store import kept, runs, targets, upkeep
from foreman.store.queue_rows import read_queues

log = logging.getLogger(__name__)

TICK_S = 0.2
TARGETS_EVERY_S = 1.0
KEPT_EVERY_S = 1.0
BEATS_PER_LEASE = 3

T = TypeVar("T")


class WebUpkeep:
    """One thread (a greenlet) of small periodic duties."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._is_closing = threading.Event()
        duties = (self._beat, self._refresh_lists, self._read_targets, self._keep_embeddings)
        self._due_at = dict.fromkeys(duties, 0.0)
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Register this process, before it takes its first request, then keep going."""
        self._beat()
        self._read_targets()
        self._thread.start()

    def close(self) -> None:
        """Stop, and say that this process ends."""
        self._is_closing.set()
        self._thread.join(2)
        with self._runtime.database.statement() as connection:
            targets.unregister_web(connection, self._runtime.web_id)

    def _run(self) -> None:
        while not self._is_closing.wait(TICK_S):
            for duty, due_at in self._due_at.items():
                if time.monotonic() >= due_at:
                    self._do(duty)
                    self._due_at[duty] = time.monotonic() + self._every_s(duty)
            self._do(self._write_notes)

    def _every_s(self, duty: Callable[[], None]) -> float:
        return {
            self._beat: self._runtime.settings.lease_s / BEATS_PER_LEASE,
            self._refresh_lists: self._runtime.catalog.refresh_every_s,
            self._read_targets: TARGETS_EVERY_S,
            self._keep_embeddings: KEPT_EVERY_S,
        }[duty]

    def _do(self, duty: Callable[[], None]) -> None:
        try:
            duty()
        except DatabaseUnavailable as error:
            log.warning("upkeep put off", extra={"error": str(error)})
        except Exception:  # the outermost loop: the next turn may do better
            log.exception("upkeep failed")

    def _beat(self) -> None:
        with self._runtime.database.statement() as connection:
            targets.register_web(
                connection, self._runtime.web_id, host=socket.gethostname(), pid=os.getpid()
            )

    def _refresh_lists(self) -> None:
        self._runtime.catalog.refresh()

    def _read_targets(self) -> None:
        grace_s = 2 * self._runtime.settings.lease_s
        with self._runtime.database.statement() as connection:
            rows = targets.read_targets(connection, grace_s=grace_s)
            self._runtime.accepted.clear()  # before: what comes meanwhile may count twice
            self._runtime.queues = read_queues(connection)
        self._runtime.leased = frozenset(row.name for row in rows if row.is_leased)

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

    def _write_notes(self) -> None:
        for job_id in _drain(self._runtime.overflowed):
            cancel(self._runtime, job_id)
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
