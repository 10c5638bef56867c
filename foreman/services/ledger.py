"""The ledger of one target: a line for each swap, kept here until the database takes it."""

import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from foreman.core.drain import Decision
from foreman.core.lease import Lease
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.services.swap import Swapped
from foreman.store import runs, swaps

log = logging.getLogger(__name__)

UNRECORDED_LIMIT = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Loading:
    """A swap under way, what waits for it, and what the ledger will say of it."""

    lease: Lease | None
    queue: str
    decision: Decision | None  # None: the visit has begun before, and its model had gone
    ended_jobs: int  # of the visit before
    future: "Future[None]"


class Ledger:
    """Notes swaps."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._runtime = runtime
        self._one_writer = threading.Lock()
        self._unrecorded: deque[tuple[Lease, swaps.SwapRecord]] = deque(maxlen=UNRECORDED_LIMIT)

    def note(self, loading: Loading, claim: runs.Claim, swapped: Swapped | None) -> None:
        """A load has ended, or failed (None): write its line, if there is one to write."""
        decision, lease = loading.decision, loading.lease
        if lease is None or (swapped and swapped.was_loaded and decision is None):
            return
        cost_s = swapped.cost_s if swapped else None
        line = swaps.SwapRecord(
            to_queue=claim.queue,
            model=claim.model,
            reason="repair" if decision is None else decision.cause or "first",
            jobs_served=loading.ended_jobs if decision else 0,
            cost_s=cost_s,
            was_loaded=swapped is not None and swapped.was_loaded,
            head_wait_s=claim.waited_s,
        )
        self._unrecorded.append((lease, line))
        self.record()

    def record(self) -> None:
        """Write down what is still to be written, oldest first; called now and then."""
        with self._one_writer:
            while self._unrecorded:
                oldest = self._unrecorded.popleft()  # a line that is a defect is not tried again
                try:
                    with self._runtime.database.transaction() as connection:
                        swaps.record_swap(connection, *oldest)
                except DatabaseUnavailable as error:
                    log.warning("swap not recorded", extra={"error": str(error)})
                    self._unrecorded.appendleft(oldest)
                    return
