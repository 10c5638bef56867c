"""The visit of a target to one residency: what it serves, since when, and whether it is loaded.

The worker's drain decides which residency is next and begins the visit; the first run of it brings
the residency onto the target (`services.swap`), on a thread of its own, while the run waits.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from foreman.core.bodies import look
from foreman.core.drain import Decision
from foreman.core.ledger import FifoCount
from foreman.core.queues import Residency, residency_of
from foreman.core.states import Phase
from foreman.core.surface import Dialect, dialect_of
from foreman.errors import (
    DatabaseUnavailable,
    ForemanError,
    LoadFailed,
    LoadRefused,
    TargetError,
    WorkerLost,
)
from foreman.runtime import WorkerRuntime
from foreman.services.run import Run
from foreman.services.swap import Swapped, bring
from foreman.store import runs, swaps
from foreman.store.targets import Lease

log = logging.getLogger(__name__)

# A target that was idle for so long may have unloaded the model (OLLAMA_KEEP_ALIVE).
TRUST_S = 60.0
# After a failed load the residency pauses, so that it does not keep the others waiting.
PAUSE_S, PAUSE_LIMIT_S = 1.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class _Loading:
    """A swap under way, and what waits for it."""

    lease: Lease | None
    queue: str
    future: "Future[None]"


class Visit:
    """What the target that this worker drives serves; the drain and the runs share it."""

    def __init__(self, runtime: WorkerRuntime, keeps: Callable[[], frozenset[str]]) -> None:
        self._runtime = runtime
        self._keeps = keeps
        self._lock = threading.Lock()
        self._one_swap = threading.Lock()
        self._loading: _Loading | None
        self._is_ready = False
        self._unloads = False
        self._used_at = 0.0
        self._unrecorded: tuple[Lease, swaps.SwapRecord] | None = None
        self._failures: dict[str, int] = defaultdict(int)
        self._paused_until: dict[str, float] = {}
        self.resume(None, None)

    def resume(self, lease: Lease | None, queue: str | None) -> None:
        """Start over on a target; `queue` is what it has loaded, as far as it is known."""
        self._lease = lease
        self._loading = None
        self._loaded: str | None = queue
        self._fifo = FifoCount(queue)
        self._decision: Decision | None = None
        self._ended_jobs = 0
        self._oldest_at = float("inf")
        self._is_ready = False
        self.queue = queue
        self.began_at = time.monotonic()
        self.swap_s: float | None = None
        self.jobs_served = 0

    def begin(self, queue: str, decision: Decision, *, longest_wait_s: float) -> None:
        """Nothing runs: from now on the target serves `queue`; its first run will load it.

        `longest_wait_s` is how long the oldest of all jobs has waited that the target could serve.
        """
        with self._lock:
            self._oldest_at = time.monotonic() - longest_wait_s
            self._decision = decision
            self._is_ready = False
            self._ended_jobs, self.jobs_served = self.jobs_served, 0
            self.queue, self.began_at = queue, time.monotonic()
            self.swap_s = None
        log.info("visit", extra={"queue": queue, "reason": decision.reason})
        if self._lease is not None:
            with self._runtime.database.statement() as connection:
                swaps.begin_swap(connection, self._lease, queue, reason=decision.reason)

    def serve(self) -> None:
        """Another job of the visit is taken."""
        self.jobs_served += 1
        if time.monotonic() - self._used_at > TRUST_S:
            self.doubt()
        self._used_at = time.monotonic()

    def doubt(self) -> None:
        """The residency may be gone from the target: the next run looks first."""
        self._is_ready = False

    def note_end(self, run: Run, error: ForemanError | None) -> None:
        """A run has ended; it may have left the target without the residency."""
        # A `keep_alive` of 0 stays with the loaded model: it goes after its last run, this or not.
        self._unloads |= run.unloads_after
        if self._unloads or isinstance(error, TargetError):
            self.doubt()

    @property
    def is_loading(self) -> bool:
        return self._loading is not None

    @property
    def dwell_s(self) -> float:
        return time.monotonic() - self.began_at

    @property
    def phase(self) -> Phase:
        """What a run that starts now is at."""
        return Phase.GENERATING if self._is_ready else Phase.LOADING

    def is_paused(self, queue: str) -> bool:
        """Whether its load has just failed."""
        return time.monotonic() < self._paused_until.get(queue, 0.0)

    # Called by runs, on their threads

    def await_loaded(self, run: Run) -> None:
        """Return once the residency is on the target; raises what stopped the run, or the load.

        After a load that the target refused, and on its last attempt after any failed load, a run
        goes on: the target's own answer to the request is what its client gets.
        """
        came_at = time.monotonic() - run.claim.waited_s
        loading = self._begin_loading(run.claim)
        if loading is None:
            self._count(run.claim, came_at)
            return
        run.on_sent()  # its message would wait for minutes
        run.wait_for(loading)
        error = loading.exception()
        is_last = run.claim.attempt >= run.claim.max_attempts
        goes_on = isinstance(error, LoadRefused) or (is_last and isinstance(error, LoadFailed))
        if error is not None and not goes_on:
            raise error
        with self._runtime.database.statement() as connection:
            runs.mark_generating(connection, run.claim.job_id, run.claim.fence)
        self._count(run.claim, came_at)

    def _count(self, claim: runs.Claim, came_at: float) -> None:
        with self._lock:
            self._fifo.served(claim.queue, came_at=came_at, swap_s=self.swap_s or 0.0)

    def _begin_loading(self, claim: runs.Claim) -> "Future[None] | None":
        """The load that a run waits for; None when there is nothing to wait for."""
        with self._lock:
            if self._is_ready:
                return None
            wanted = (self._lease, claim.queue)
            if self._loading is None or (self._loading.lease, self._loading.queue) != wanted:
                self._loading = _Loading(*wanted, Future())
                # A daemon: a load that hangs must not hold up the end of the process.
                load = partial(self._load, self._loading, claim)
                threading.Thread(target=load, name="swap", daemon=True).start()
            return self._loading.future

    # On the swap's thread

    def _load(self, loading: "_Loading", claim: runs.Claim) -> None:
        with self._one_swap:  # one that nobody waits for any more is still to end
            swapped: Swapped | None = None
            failure: Exception | None = None
            try:
                swapped = self._bring(loading, claim)
            except Exception as error:  # whatever it is, the runs that wait are told
                failure = error
                if isinstance(error, LoadFailed):
                    self._pause(claim.queue, error)
            try:
                self._end(loading, claim, swapped)
            finally:
                if failure is None:
                    loading.future.set_result(None)
                else:
                    loading.future.set_exception(failure)

    def _bring(self, loading: "_Loading", claim: runs.Claim) -> Swapped:
        if loading.lease is None:
            raise WorkerLost("the target's lease was lost before its model was loaded")
        client = self._runtime.targets[loading.lease.target]
        may_stay = self._loaded in (None, claim.queue)
        self._loaded = None
        swapped = bring(client, _residency(claim), may_stay=may_stay, keeps=self._keeps())
        self._loaded = claim.queue
        self._unloads &= swapped.was_loaded
        self._failures.pop(claim.queue, None)
        return swapped

    def _end(self, loading: "_Loading", claim: runs.Claim, swapped: Swapped | None) -> None:
        with self._lock:
            is_newest = self._loading is loading
            if is_newest:  # else the visit went on to another residency, or another target
                self._loading, self._is_ready = None, swapped is not None
        if is_newest:
            self._record(claim, swapped)

    def _pause(self, queue: str, error: LoadFailed) -> None:
        pause_s = min(PAUSE_S * 2 ** self._failures[queue], PAUSE_LIMIT_S)
        self._failures[queue] += 1
        self._paused_until[queue] = time.monotonic() + pause_s
        log.warning("load failed", extra={"queue": queue, "error": str(error), "pause_s": pause_s})

    def _record(self, claim: runs.Claim, swapped: Swapped | None) -> None:
        """Write the ledger's line, if there is one to write."""
        decision, self._decision = self._decision, None
        lease = self._lease
        if lease is None or (swapped and swapped.was_loaded and decision is None):
            return
        cost_s = swapped.cost_s if swapped else None
        if decision is not None:
            self.began_at = time.monotonic()  # a visit's dwell is what it serves, not its swap
        if swapped and not swapped.was_loaded:
            self.swap_s = cost_s
        with self._lock:
            fifo = self._fifo.settle(self._oldest_at)
        swap = swaps.SwapRecord(
            to_queue=claim.queue,
            model=claim.model,
            reason="repair" if decision is None else decision.cause or "first",
            jobs_served=self._ended_jobs if decision else 0,
            cost_s=cost_s,
            was_loaded=swapped is not None and swapped.was_loaded,
            head_wait_s=claim.waited_s,
            fifo_swaps=fifo.count,
            saved_s=fifo.cost_s - (cost_s or 0.0),
        )
        self._unrecorded = (lease, swap)
        self.record()

    def record(self) -> None:
        """Write down the newest swap, if that is still to be done; called now and then."""
        with self._lock:
            unrecorded, self._unrecorded = self._unrecorded, None
        if unrecorded is None:
            return
        try:
            with self._runtime.database.transaction() as connection:
                swaps.record_swap(connection, *unrecorded)
        except DatabaseUnavailable as error:
            log.warning("swap not recorded", extra={"error": str(error)})
            self._unrecorded = self._unrecorded or unrecorded


def _residency(claim: runs.Claim) -> Residency:
    """The residency of a claimed job, read again from its body."""
    headers = dict((name.lower(), value) for name, value in claim.headers)
    looked = look(
        claim.body,
        streams_by_default=True,
        has_options=dialect_of(claim.endpoint) is Dialect.OLLAMA,
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
    )
    return residency_of(claim.model, looked.runner_options if looked else {})
