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
from contextlib import suppress
from functools import partial

from foreman.core.bodies import look
from foreman.core.drain import Decision
from foreman.core.lease import Lease
from foreman.core.queues import Residency, residency_of
from foreman.core.states import Phase
from foreman.errors import (
    DatabaseUnavailable,
    Defect,
    ForemanError,
    LoadFailed,
    LoadRefused,
    RequestRefused,
    TargetError,
    WorkerLost,
)
from foreman.runtime import WorkerRuntime
from foreman.services.ledger import Ledger, Loading
from foreman.services.running import Run
from foreman.services.swap import Swapped, bring
from foreman.store import runs, swaps

log = logging.getLogger(__name__)

# A target that was idle for so long may have unloaded the model (OLLAMA_KEEP_ALIVE).
TRUST_S = 60.0
# After a failed load the residency pauses, so that it does not keep the others waiting.
PAUSE_S, PAUSE_LIMIT_S = 1.0, 30.0


class Visit:
    """What the target that this worker drives serves; the drain and the runs share it."""

    def __init__(self, runtime: WorkerRuntime, keeps: Callable[[], frozenset[str]]) -> None:
        self._runtime = runtime
        self._keeps = keeps
        self.ledger = Ledger(runtime)
        self._lock = threading.Lock()
        self._one_swap = threading.Lock()
        self._loading: Loading | None
        self._is_ready = False
        self._unloads = False
        self._used_at = 0.0
        self._failures: dict[str, int] = defaultdict(int)
        self._paused_until: dict[str, float] = {}
        self.resume(None, None)

    def resume(self, lease: Lease | None, queue: str | None) -> None:
        """Start over on a target; `queue` is what it has loaded, as far as it is known."""
        self._lease = lease
        self._loading = None
        self._loaded: str | None = queue
        self._decision: Decision | None = None
        self._ended_jobs = 0
        self._is_ready = False
        self.queue = queue
        self.began_at = time.monotonic()
        self.swap_s: float | None = None
        self.jobs_served = 0

    def begin(self, queue: str, decision: Decision) -> None:
        """Nothing runs: from now on the target serves `queue`; its first run will load it."""
        with self._lock:
            self._decision = decision
            self._is_ready = False
            self._loading = None  # one that still goes on is not this visit's
            self._ended_jobs, self.jobs_served = self.jobs_served, 0
            self.queue, self.began_at = queue, time.monotonic()
            self.swap_s = None
        log.info("visit", extra={"queue": queue, "reason": decision.reason})
        if self._lease is not None:
            self._tell_loading(self._lease, queue, decision)

    def _tell_loading(self, lease: Lease, queue: str, decision: Decision) -> None:
        # Told when the visit begins, so that no other target loads it as well, and again when the
        # load does: a job that was gone may have had it forgotten.
        with self._runtime.database.transaction() as connection:
            swaps.begin_swap(connection, lease, queue, reason=decision.reason)

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

    def note_unclaimed(self) -> None:
        """A job that the visit began with was not there any more: perhaps nothing is loaded."""
        lease = self._lease
        if lease is None or self._decision is None or not self._one_swap.acquire(blocking=False):
            return  # its load has begun or is done, or an older one goes on
        try:
            with self._runtime.database.transaction() as connection:
                swaps.forget_swap(connection, lease)
        except DatabaseUnavailable as error:
            log.warning("swap not forgotten", extra={"error": str(error)})
        finally:
            self._one_swap.release()

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
        loading = self._begin_loading(run.claim)
        if loading is None:
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

    def _begin_loading(self, claim: runs.Claim) -> "Future[None] | None":
        """The load that a run waits for; None when there is nothing to wait for."""
        with self._lock:
            if self._is_ready:
                return None
            wanted = (self._lease, claim.queue)
            if self._loading is None or (self._loading.lease, self._loading.queue) != wanted:
                decision, self._decision = self._decision, None
                self._loading = Loading(*wanted, decision, self._ended_jobs, Future())
                # A daemon: a load that hangs must not hold up the end of the process.
                load = partial(self._load, self._loading, claim)
                threading.Thread(target=load, name="swap", daemon=True).start()
            return self._loading.future

    # On the swap's thread

    def _load(self, loading: Loading, claim: runs.Claim) -> None:
        with self._one_swap:  # one that nobody waits for any more is still to end
            swapped: Swapped | None = None
            failure: ForemanError | None = None
            try:
                swapped = self._bring(loading, claim)
            except ForemanError as error:
                failure = error
            except Exception:  # a defect, which costs each run that waits an attempt and no more
                log.exception("load failed by a defect")
                failure = LoadFailed(str(Defect()))
            if isinstance(failure, LoadFailed):
                self._pause(claim.queue, failure)
            try:
                self._end(loading, claim, swapped)
            finally:
                if failure is None:
                    loading.future.set_result(None)
                else:
                    loading.future.set_exception(failure)

    def _bring(self, loading: Loading, claim: runs.Claim) -> Swapped:
        if loading.lease is None or loading.lease != self._lease:
            raise WorkerLost("the target's lease was lost before its model was loaded")
        if loading.decision is not None:
            with suppress(DatabaseUnavailable):
                self._tell_loading(loading.lease, loading.queue, loading.decision)
        client = self._runtime.targets[loading.lease.target]
        may_stay = self._loaded in (None, claim.queue)
        self._loaded = None
        swapped = bring(client, _residency(claim), may_stay=may_stay, keeps=self._keeps())
        if loading.lease == self._lease:
            self._loaded = claim.queue
        self._unloads &= swapped.was_loaded
        self._failures.pop(claim.queue, None)
        return swapped

    def _end(self, loading: Loading, claim: runs.Claim, swapped: Swapped | None) -> None:
        with self._lock:
            is_newest = self._loading is loading
            if is_newest:  # else the visit went on to another residency, or another target
                self._loading, self._is_ready = None, swapped is not None
                if loading.decision is not None:
                    self.began_at = time.monotonic()  # a dwell is what it serves, not its swap
                if swapped and not swapped.was_loaded:
                    self.swap_s = swapped.cost_s
        self.ledger.note(loading, claim, swapped)

    def _pause(self, queue: str, error: LoadFailed) -> None:
        pause_s = min(PAUSE_S * 2 ** self._failures[queue], PAUSE_LIMIT_S)
        self._failures[queue] += 1
        self._paused_until[queue] = time.monotonic() + pause_s
        log.warning("load failed", extra={"queue": queue, "error": str(error), "pause_s": pause_s})


def _residency(claim: runs.Claim) -> Residency:
    """The residency of a claimed job, read again from its body."""
    headers = dict((name.lower(), value) for name, value in claim.headers)
    try:
        looked = look(
            claim.body,
            claim.endpoint,
            content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
        )
    except RequestRefused:  # an earlier version accepted the job: the target answers it
        looked = None
    return residency_of(claim.model, looked.runner_options if looked else {})
