"""The worker side of one job: claim it, ask the target, send its bytes to who waits, finish.

A run ends in one of these ways: the target's answer is whole (succeeded, whatever its status); the
run was stopped from outside (cancelled, out of time, fenced off, shutting down); the target or the
channel failed. Before any byte was handed on, a failed run goes back to its queue.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol
from uuid import UUID

from foreman.adapters.channel import Outgoing
from foreman.adapters.target import Call, TargetRequest
from foreman.config import Settings
from foreman.core import headers as header_rules
from foreman.core.frames import Failure, FrameKind, Head, encode_failure, encode_head
from foreman.core.reshape import Reshaped, kept_loaded, unloads_after
from foreman.core.states import JobState, Phase
from foreman.errors import (
    ChannelLost,
    DatabaseUnavailable,
    ForemanError,
    JobCancelled,
    JobTooLong,
    ShuttingDown,
    StreamBroken,
    TargetUnreachable,
    WorkerLost,
)
from foreman.logs import about_job
from foreman.runtime import WorkerRuntime
from foreman.store import runs

log = logging.getLogger(__name__)

# A finish that the database does not take is tried again, then left to the reaper.
FINISH_TRIES = 5


class Run:
    """One claimed job on its way through the target; stopped from any thread by `stop`."""

    def __init__(
        self, claim: runs.Claim, target: str, call: Call, on_sent: Callable[[], None]
    ) -> None:
        self.on_sent = on_sent
        self.claim = claim
        self.target = target
        self.call = call
        self.started_at = time.monotonic()
        self.sent_bytes = 0
        self.unloads_after = False  # what was sent lets the target unload the model behind it
        self.stopped_by: ForemanError | None = None
        self._woken = threading.Event()

    def wait_for(self, future: "Future[Any]") -> None:
        """Wait until something is done; raises what stops the run meanwhile."""
        future.add_done_callback(lambda _: self._woken.set())
        self._woken.wait()  # bounded by the job's own limit, which stops it
        if self.stopped_by is not None:
            raise self.stopped_by
        self.started_at = time.monotonic()  # a load is not the job's own time

    def stop(self, error: ForemanError) -> None:
        """Hang up on the target and let the run end with `error`; the first one counts."""
        if self.stopped_by is None:
            self.stopped_by = error
            self.call.abort()
            self._woken.set()


class Residence(Protocol):
    """What a run needs to know of the target's visit, and tells it."""

    @property
    def phase(self) -> Phase: ...

    def await_loaded(self, run: Run) -> None:
        """Return once the job's residency is loaded; raises what came instead."""

    def has_more(self, queue: str) -> bool:
        """Whether more jobs of a model queue wait; answers at once."""

    def note_end(self, run: Run, error: ForemanError | None) -> None:
        """A run has ended, or will start over."""


class Runner:
    """Runs the jobs of one worker, and knows which are running now."""

    def __init__(self, runtime: WorkerRuntime, residence: Residence) -> None:
        self._runtime = runtime
        self._residence = residence
        self._runs: dict[UUID, Run] = {}
        self._lock = threading.Lock()

    def running(self) -> dict[UUID, Run]:
        with self._lock:
            return dict(self._runs)

    def cancel(self, job_id: UUID) -> bool:
        """Stop a job if it runs here."""
        run = self.running().get(job_id)
        if run is not None:
            run.stop(JobCancelled())
        return run is not None

    def stop_all(self, error: ForemanError) -> None:
        for run in self.running().values():
            run.stop(error)

    def stop_silent(self, error: ForemanError) -> None:
        """Stop the runs that have no byte of an answer: they can start over elsewhere."""
        for run in self.running().values():
            if not run.sent_bytes:
                run.stop(error)

    def run(self, job_id: UUID, *, target: str, on_claim: Callable[[], None]) -> None:
        """Run a job if it still waits.

        `on_claim` is called once the row is claimed, while the target is at work already.
        """
        with about_job(job_id):
            with self._runtime.database.statement() as connection:
                claim = runs.claim_job(
                    connection,
                    job_id,
                    worker=self._runtime.worker,
                    target=target,
                    phase=self._residence.phase,
                    lease_s=self._runtime.settings.lease_s,
                    web_silence_s=self._runtime.settings.web_silence_s,
                )
            if claim is None:
                log.debug("job is not waiting any more")
                return
            run = Run(claim, target, self._runtime.targets[target].call(), on_claim)
            with self._lock:
                self._runs[job_id] = run
            try:
                self._carry_out(run)
            finally:
                with self._lock:
                    del self._runs[job_id]

    def _carry_out(self, run: Run) -> None:
        outgoing = self._open(run)
        try:
            self._residence.await_loaded(run)
            status = _pump(run, self._body(run), outgoing, self._runtime.settings)
        except ForemanError as error:
            self._residence.note_end(run, run.stopped_by or error)
            self._fail(run, outgoing, run.stopped_by or error)
        else:
            self._residence.note_end(run, None)
            _send(outgoing, FrameKind.END)
            self._finish(run, JobState.SUCCEEDED, status=status)
            took_s = round(time.monotonic() - run.started_at, 3)
            facts = {"model": run.claim.model, "status": status, "bytes": run.sent_bytes}
            log.info("run ended", extra=facts | {"seconds": took_s})
        finally:
            run.call.close()
            if outgoing is not None:
                outgoing.close()

    def _body(self, run: Run) -> Reshaped:
        """The body to send; an unload is left out of it while more of the residency waits."""
        claim = run.claim
        run.unloads_after = unloads_after(claim.body, claim.endpoint)
        is_kept = run.unloads_after and self._runtime.settings.keep_loaded
        if is_kept and self._residence.has_more(claim.queue):
            kept = kept_loaded(claim.body, claim.endpoint)
            run.unloads_after = not kept.change
            return kept
        return Reshaped(claim.body)

    def _open(self, run: Run) -> Outgoing | None:
        claim = run.claim
        if claim.web_id is None:
            return None
        return self._runtime.senders.open(claim.web_id, claim.job_id, claim.fence)

    def _fail(self, run: Run, outgoing: Outgoing | None, error: ForemanError) -> None:
        claim = run.claim
        failure = Failure(error.status, error.code, str(error))
        log.info("run failed", extra={"code": failure.code, "error": failure.message})
        if isinstance(error, TargetUnreachable):
            self._runtime.catalog.lose(run.target)
        if isinstance(error, WorkerLost):
            return  # fenced off: somebody else tells its end
        if self._may_run_again(run, error) and self._give_back(claim, error.code):
            return
        _tell(outgoing, failure)
        is_cancelled = isinstance(error, JobCancelled)
        state = JobState.CANCELLED if is_cancelled else JobState.FAILED
        self._finish(run, state, failure=failure)

    def _may_run_again(self, run: Run, error: ForemanError) -> bool:
        if run.sent_bytes or error.is_permanent or isinstance(error, StreamBroken):
            return False
        return run.claim.attempt < run.claim.max_attempts or isinstance(error, ShuttingDown)

    def _give_back(self, claim: runs.Claim, reason: str) -> bool:
        with self._runtime.database.statement() as connection:
            return runs.give_back(connection, claim.job_id, claim.fence, reason=reason)

    def _finish(
        self,
        run: Run,
        state: JobState,
        *,
        status: int | None = None,
        failure: Failure | None = None,
    ) -> None:
        for attempt in range(FINISH_TRIES):
            try:
                with self._runtime.database.statement() as connection:
                    is_newest = runs.finish_run(
                        connection,
                        run.claim.job_id,
                        run.claim.fence,
                        state,
                        status=status,
                        response_bytes=run.sent_bytes,
                        failure=failure,
                    )
                if not is_newest:
                    log.warning("run was fenced off", extra={"fence": run.claim.fence})
                return
            except DatabaseUnavailable as error:
                log.warning("end not recorded", extra={"try": attempt, "error": str(error)})
                time.sleep(2**attempt * 0.1)


def check_time(run: Run, limit_s: float) -> None:
    """Stop a run that takes longer than a job may."""
    if time.monotonic() - run.started_at > limit_s:
        run.stop(JobTooLong(f"the job ran longer than {limit_s:g} s"))


def _pieces(run: Run, head: Head, whole_limit_bytes: int) -> Iterator[bytes]:
    """The body as it comes; one that has a length comes whole, so that half of it is nothing."""
    size = int(header_rules.find(head.headers, "content-length") or -1)
    if 0 < size <= whole_limit_bytes:
        return iter([b"".join(run.call.chunks())])
    return run.call.chunks()


def _pump(run: Run, sent: Reshaped, outgoing: Outgoing | None, settings: Settings) -> int:
    """Send the request, pass on what comes back; returns the target's status."""
    claim = run.claim
    # An answer that is made whole before it is sent is silent for as long as the job takes.
    first_byte_s = settings.first_byte_s if claim.streams else settings.job_timeout_s
    headers = [*claim.headers, (header_rules.JOB_ID, str(claim.job_id))]
    request = TargetRequest("POST", claim.endpoint, claim.query, headers, sent.body)
    head = run.call.send(request, on_sent=run.on_sent, first_byte_s=first_byte_s)
    head = Head(head.status, header_rules.with_change(head.headers, sent.change))
    is_head_sent = False
    for chunk in _pieces(run, head, settings.stream_buffer_bytes):
        if not is_head_sent:
            # With the first bytes, not before: until then the job may run again unseen.
            _send(outgoing, FrameKind.HEAD, encode_head(head))
            is_head_sent = True
        run.sent_bytes += len(chunk)
        _send(outgoing, FrameKind.DATA, chunk)
    if run.stopped_by is not None:
        raise run.stopped_by
    if not is_head_sent:
        _send(outgoing, FrameKind.HEAD, encode_head(head))
    return head.status


def _tell(outgoing: Outgoing | None, failure: Failure) -> None:
    try:
        _send(outgoing, FrameKind.ERROR, encode_failure(failure))
    except ChannelLost as error:
        log.warning("end not told", extra={"error": str(error)})


def _send(outgoing: Outgoing | None, kind: FrameKind, payload: bytes = b"") -> None:
    if outgoing is not None:
        outgoing.send(kind, payload)
