"""One claimed job on its way through a target, and what may stop it from outside."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from foreman.adapters.target import Call
from foreman.errors import DeadlinePassed, ForemanError, JobTooLong
from foreman.services.sink import Sink
from foreman.store import runs


class Run:
    """One claimed job on its way through the target; stopped from any thread by `stop`."""

    def __init__(
        self,
        claim: runs.Claim,
        target: str,
        call: Call,
        sink: Sink,
        *,
        on_sent: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        self.on_sent = on_sent
        self.on_rest = on_rest
        self.claim = claim
        self.target = target
        self.call = call
        self.sink = sink
        self.started_at = time.monotonic()
        self.received_bytes = 0
        self.unloads_after = False  # what was sent lets the target unload the model afterwards
        self.stopped_by: ForemanError | None = None
        self._woken = threading.Event()

    def wait_for(self, future: "Future[Any]") -> None:
        """Wait until something is done; raises what stops the run meanwhile."""
        self.started_at = float("inf")  # a load has the target's limit, not the job's
        future.add_done_callback(lambda _: self._woken.set())
        self._woken.wait()  # bounded by the limits of the load itself
        if self.stopped_by is not None:
            raise self.stopped_by
        self.started_at = time.monotonic()

    def stop(self, error: ForemanError) -> None:
        """Hang up on the target and let the run end with `error`; the first one counts."""
        if self.stopped_by is None:
            self.stopped_by = error
            self.call.abort()
            self.sink.stop()
            self._woken.set()


def check_time(run: Run, limit_s: float) -> None:
    """Stop a run that takes longer than a job may."""
    if time.monotonic() - run.started_at > limit_s:
        run.stop(JobTooLong(f"the job ran longer than {limit_s:g} s"))


@contextmanager
def stopped_at_deadline(run: Run) -> Iterator[None]:
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
