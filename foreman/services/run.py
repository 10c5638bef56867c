"""The worker side of one job: claim it, ask the target, hand its bytes to the run's sink, end it.

A run ends in one of these ways: the target's answer is whole; the run was stopped from outside
(cancelled, out of time, fenced off, shutting down); the target or the channel failed. Where the
bytes go, and whether they are an answer, is for the sink to say: `telling` passes them to a client
that waits, `collecting` keeps them. What the row says at the end is `ends`'.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from foreman.adapters.target import READ_SIZE
from foreman.config import Settings
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.holding import held_back
from foreman.core.lengths import promised_length
from foreman.core.reshape import Reshaped, kept_loaded, unchanged, unloading
from foreman.core.states import Phase
from foreman.errors import (
    Defect,
    ForemanError,
    JobCancelled,
    TargetUnreachable,
)
from foreman.logs import about_job
from foreman.runtime import WorkerRuntime
from foreman.services.answer import check_final
from foreman.services.asking import Asked, ask, with_body
from foreman.services.collecting import CollectedSink
from foreman.services.ends import Ends
from foreman.services.running import Run, stopped_at_deadline
from foreman.services.sink import Outcome, Sink
from foreman.services.telling import ToldSink
from foreman.store import runs

log = logging.getLogger(__name__)


class Residence(Protocol):
    """What a run needs to know of the target's visit, and tells it."""

    @property
    def phase(self) -> Phase: ...

    def await_loaded(self, run: Run) -> None:
        """Return once the job's residency is loaded; raises what came instead."""

    def has_more(self, queue: str) -> bool:
        """Whether more jobs of a model queue wait; answers at once."""

    def note_unclaimed(self) -> None:
        """A job that was taken was not there any more."""

    def note_end(self, run: Run, error: ForemanError | None) -> None:
        """A run has ended, or will start over."""


class Runner:
    """Runs the jobs of one worker, and knows which are running now."""

    def __init__(self, runtime: WorkerRuntime, residence: Residence) -> None:
        self._runtime = runtime
        self._residence = residence
        self._ends = Ends(runtime.database)
        self._runs: dict[UUID, Run] = {}
        self._stops = 0  # how often `stop_all` was called, and why the last time
        self._stopped_by: type[ForemanError] = ForemanError
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

    def note_taken(self, job_id: UUID, fence: int, taken_bytes: int) -> None:
        """The client of a run has taken so many bytes of it by now."""
        run = self.running().get(job_id)
        if run is not None and run.claim.fence == fence:
            run.sink.credit(taken_bytes)

    def stop_all(self, error: ForemanError) -> None:
        """Stop all that runs, and what is being claimed now."""
        with self._lock:
            self._stops, self._stopped_by = self._stops + 1, type(error)
            runs = list(self._runs.values())
        for run in runs:
            run.stop(error)

    def stop_silent(self, error: ForemanError) -> None:
        """Stop the runs that have no byte of an answer: they can start over elsewhere."""
        for run in self.running().values():
            if not run.received_bytes:
                run.stop(error)

    def run(
        self,
        job_id: UUID,
        *,
        target: str,
        on_claim: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        """Run a job if it still waits.

        `on_claim` is called once the row is claimed, while the target is at work already, and
        `on_rest` when the target has done its part, while the end is still to be recorded.
        """
        with about_job(job_id):
            stops = self._stops
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
                self._residence.note_unclaimed()
                return
            call = self._runtime.targets[target].call()
            run = Run(claim, target, call, self._sink(claim), on_sent=on_claim, on_rest=on_rest)
            with self._listed(run, stops), stopped_at_deadline(run):
                self._carry_out(run)

    def _sink(self, claim: runs.Claim) -> Sink:
        if claim.web_id is None:
            return CollectedSink(claim, limit_bytes=self._runtime.settings.artifact_max_bytes)
        outgoing = self._runtime.senders.open(claim.web_id, claim.job_id, claim.fence)
        return ToldSink(claim, outgoing)

    @contextmanager
    def _listed(self, run: Run, stops: int) -> Iterator[None]:
        """In the list of what runs now; `stops` is how often all was stopped before its claim."""
        with self._lock:
            self._runs[run.claim.job_id] = run
            missed = self._stopped_by if self._stops > stops else None
        if missed is not None:
            run.stop(missed())
        try:
            yield
        finally:
            with self._lock:
                # Given back and claimed again meanwhile, it is the newer run's entry.
                if self._runs.get(run.claim.job_id) is run:
                    del self._runs[run.claim.job_id]

    def _carry_out(self, run: Run) -> None:
        try:
            if run.stopped_by is not None:
                raise run.stopped_by
            run.claim = with_body(self._runtime.database, run.claim)
            self._residence.await_loaded(run)
            _pump(run, self._asked(run), self._runtime.settings)
            outcome = run.sink.finish()
        except ForemanError as error:
            cause = run.stopped_by or error
            if isinstance(cause, TargetUnreachable):
                self._runtime.catalog.lose(run.target)
            self._leave_target(run, cause)
            self._ends.fail(run.claim, run.sink, cause)
        except Exception:
            # A defect. Its job ends by it, and does not wait for the reaper to run it once more.
            log.exception("run failed by a defect")
            cause = run.stopped_by or Defect()
            self._leave_target(run, cause)
            self._ends.fail(run.claim, run.sink, cause)
        else:
            self._leave_target(run, None)
            self._ends.succeed(run.claim, outcome)
            _tell_end(run, outcome)
        finally:
            run.call.close()
            run.sink.close()

    def _leave_target(self, run: Run, error: ForemanError | None) -> None:
        """The target is at rest: the next job need not wait until this one's end is recorded."""
        run.call.close()
        self._residence.note_end(run, error)
        run.on_rest()

    def _asked(self, run: Run) -> Asked:
        """The request to send; it alone holds the body from now on."""
        asked = ask(run.claim, self._body(run), run.sink)
        run.claim = replace(run.claim, body=b"")
        return asked

    def _body(self, run: Run) -> Reshaped:
        """The body to send; an unload is left out of it while more of the residency waits."""
        claim = run.claim
        looked = unloading(claim.body, claim.endpoint)
        if looked is None:
            return unchanged(claim.body)
        if self._runtime.settings.keep_loaded and self._residence.has_more(claim.queue):
            return kept_loaded(claim.body, looked)
        run.unloads_after = True
        return unchanged(claim.body)


def _pump(run: Run, asked: Asked, settings: Settings) -> None:
    """Send the request, hand on what comes back."""
    sink = run.sink
    # An answer that is made whole before it is sent is silent for as long as the job takes.
    # The job's own limit comes first, and says nothing about the target.
    whole_s = settings.job_timeout_s + settings.lease_s
    first_byte_s = settings.first_byte_s if asked.streams else whole_s
    head = run.call.send(asked.request, on_sent=run.on_sent, first_byte_s=first_byte_s)
    check_final(head, run.target)
    passed = header_rules.of_target(head.headers)
    head = Head(head.status, header_rules.with_change(passed, asked.change))
    sink.begin(head)
    chunks = run.call.chunks()
    if not asked.streams or promised_length(head.headers) is not None:
        chunks = held_back(chunks, limit_bytes=settings.stream_buffer_bytes, piece_bytes=READ_SIZE)
    for chunk in chunks:
        run.received_bytes += len(chunk)
        sink.take(chunk)
    if run.stopped_by is not None:
        raise run.stopped_by


def _tell_end(run: Run, outcome: Outcome) -> None:
    took_s = round(time.monotonic() - run.started_at, 3)
    facts = {"model": run.claim.model, "status": outcome.status, "bytes": outcome.response_bytes}
    log.info("run ended", extra=facts | {"seconds": took_s})
