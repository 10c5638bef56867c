"""The runs of this worker that are alive: from the hand-over to Celery to their recorded end.

A run is stopped by its tag, from any thread. What it tells the worker's thread is kept in order
here: one `Unclaimed`, or one `Claimed` and one `Ended`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from foreman.adapters.target import Call
from foreman.core.queues import Residency
from foreman.errors import (
    DeadlinePassed,
    Defect,
    ForemanError,
    JobTooLong,
    ShuttingDown,
    WorkerLost,
)
from foreman.services.sink import Sink
from foreman.store.runs import Claim
from foreman.worker.events import Claimed, Ended, Event, Unclaimed


class LiveRun:
    """One job that was handed over; `claim` and `sink` are there once its row is claimed."""

    claim: Claim
    sink: Sink

    def __init__(
        self,
        tag: int,
        job_id: UUID,
        target: str,
        call: Call,
        *,
        is_ready: bool,
        tell: Callable[[Event], None],
    ) -> None:
        self.tag = tag
        self.job_id = job_id
        self.target = target
        self.call = call
        self.is_ready = is_ready
        self.is_claimed = False
        self.started_at = float("inf")  # a load has the target's limit, not the job's
        self.received_bytes = 0
        self.unloads_after = False  # what was sent lets the target unload the model afterwards
        self.stopped_by: ForemanError | None = None
        self._tell = tell
        self._has_told_claim = False
        self._has_told_end = False
        self._refused_by: ForemanError | None = None
        self._woken = threading.Event()
        self._lock = threading.Lock()

    def claimed(self, claim: Claim, sink: Sink) -> None:
        """The row is this run's."""
        with self._lock:
            self.claim, self.sink, self.is_claimed = claim, sink, True
        if self.stopped_by is not None:
            sink.stop()

    def begin(self) -> None:
        """From now on the job's time counts."""
        self.started_at = time.monotonic()

    def stop(self, error: ForemanError) -> None:
        """Hang up on the target and let the run end with `error`; the first one counts."""
        with self._lock:
            if self.stopped_by is not None:
                return
            self.stopped_by = error
        self.call.abort()
        if self.is_claimed:
            self.sink.stop()
        self._woken.set()

    def is_given_up(self) -> bool:
        """Whether its worker stops, or has lost its lease: its end is not kept for long."""
        return isinstance(self.stopped_by, ShuttingDown | WorkerLost)

    def proceed(self, error: ForemanError | None) -> None:
        """What it waits for is there, or, with an error, will not be."""
        self._refused_by = error
        self._woken.set()

    def wait_until_ready(self) -> None:
        """Wait for `proceed`, as long as a load may take; raises what came instead."""
        self._woken.wait()  # bounded by the limits of the load itself
        error = self.stopped_by or self._refused_by
        if error is not None:
            raise error

    # What the worker's thread is told

    def say_claimed(self, residency: Residency) -> None:
        self._has_told_claim = True
        claim = self.claim
        self._tell(
            Claimed(
                tag=self.tag,
                model=claim.model,
                residency=residency,
                waited_s=claim.waited_s,
                attempts_left=claim.max_attempts - claim.attempt,
            )
        )

    def say_ended(self, error: ForemanError | None, *, is_looked_at: bool = True) -> None:
        """It is over for the target; again it says nothing."""
        with self._lock:
            has_told, self._has_told_end = self._has_told_end, True
        if has_told:
            return
        if not self._has_told_claim:
            self._tell(Unclaimed(self.tag, is_looked_at))
            return
        has_bytes, unloads = self.received_bytes > 0, self.unloads_after
        self._tell(Ended(tag=self.tag, error=error, has_bytes=has_bytes, unloads=unloads))


class LiveRuns:
    """All of them, by their tags; every method may be called from any thread."""

    def __init__(self) -> None:
        self._handed: dict[int, LiveRun] = {}  # no task has begun with them
        self._begun: dict[int, LiveRun] = {}
        self._lock = threading.Lock()

    def expect(self, run: LiveRun) -> None:
        """A task will begin it."""
        with self._lock:
            self._handed[run.tag] = run

    def begin(self, tag: int) -> LiveRun | None:
        """A task begins it; None: it was stopped before, or it is none of ours."""
        with self._lock:
            run = self._handed.pop(tag, None)
            if run is not None:
                self._begun[tag] = run
            return run

    def end(self, run: LiveRun) -> None:
        """Its task ends; whatever went wrong in it, the worker's thread is told of its end."""
        with self._lock:
            self._begun.pop(run.tag, None)
        run.say_ended(run.stopped_by or Defect())

    def stop(self, tag: int, error: ForemanError, *, only_silent: bool = False) -> None:
        """Stop a run; `only_silent`: unless it has bytes of an answer."""
        with self._lock:
            never_begins = self._handed.pop(tag, None)
            run = self._begun.get(tag)
        if never_begins is not None:
            never_begins.say_ended(error, is_looked_at=False)
        elif run is not None and not (only_silent and run.received_bytes):
            run.stop(error)

    def proceed(self, tag: int, error: ForemanError | None) -> None:
        """A run need not wait for a load any more."""
        run = self._begun.get(tag)
        if run is not None:
            run.proceed(error)

    def claimed(self) -> dict[UUID, LiveRun]:
        """The runs whose rows are claimed. Of two of one job, the newer one."""
        with self._lock:
            begun = list(self._begun.values())
        return {run.job_id: run for run in begun if run.is_claimed}

    def note_taken(self, job_id: UUID, fence: int, taken_bytes: int) -> None:
        """The client of a run has taken so many bytes of it by now."""
        run = self.claimed().get(job_id)
        if run is not None and run.claim.fence == fence:
            run.sink.credit(taken_bytes)

    def check_times(self, limit_s: float) -> None:
        """Stop what takes longer than a job may; to be called every now and then."""
        now = time.monotonic()
        for run in self.claimed().values():
            if now - run.started_at > limit_s:
                run.stop(JobTooLong(f"the job ran longer than {limit_s:g} s"))


@contextmanager
def stopped_at_deadline(run: LiveRun) -> Iterator[None]:
    """Stop the run at its job's deadline, whatever it waits for then."""
    if run.claim.time_left_s is None:
        yield
        return
    left_s = min(run.claim.time_left_s, threading.TIMEOUT_MAX)
    timer = threading.Timer(left_s, run.stop, [DeadlinePassed()])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
