"""One job's task: claim its row, ask the target, hand its bytes to the run's sink, end it.

A run ends in one of these ways: the target's answer is whole; the run was stopped from outside
(cancelled, out of time, fenced off, shutting down); the target or the channel failed. Where the
bytes go, and whether they are an answer, is for the sink to say: `telling` passes them to a client
that waits, `collecting` keeps them. What the row says at the end is `services.ends`'.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from foreman.adapters.target import READ_SIZE
from foreman.config import Settings
from foreman.core import headers as header_rules
from foreman.core.bodies import look
from foreman.core.frames import Head
from foreman.core.holding import held_back
from foreman.core.lengths import promised_length
from foreman.core.queues import Residency, residency_of
from foreman.core.reshape import Reshaped, kept_loaded, unchanged, unloading
from foreman.core.states import Phase
from foreman.errors import (
    DatabaseUnavailable,
    Defect,
    ForemanError,
    RequestRefused,
    TargetUnreachable,
)
from foreman.ids import parse_id
from foreman.logs import about_job
from foreman.runtime import WorkerRuntime
from foreman.services.answer import check_final
from foreman.services.asking import Asked, ask, with_body
from foreman.services.collecting import CollectedSink
from foreman.services.ends import Ends
from foreman.services.reap import FORGET_WEBS_AFTER_S
from foreman.services.sink import Outcome, Sink
from foreman.services.telling import ToldSink
from foreman.store import runs, upkeep
from foreman.worker.events import Event
from foreman.worker.live import LiveRun, LiveRuns, stopped_at_deadline

log = logging.getLogger(__name__)


class Runner:
    """Runs jobs in Celery's pool. `lose` gets a target that takes no request, and the reason."""

    def __init__(
        self,
        runtime: WorkerRuntime,
        live: LiveRuns,
        tell: Callable[[Event], None],
        lose: Callable[[str, str], None],
    ) -> None:
        self._runtime = runtime
        self._live = live
        self._tell = tell
        self._lose = lose
        self._ends = Ends(runtime.database)

    def expect(self, tag: int, job_id: str, *, target: str, is_ready: bool) -> None:
        """A task will `run` this job on the target, unless it is stopped before."""
        parsed = parse_id(job_id)
        assert parsed is not None, job_id  # the broker's thread has read it
        call = self._runtime.targets[target].call()
        run = LiveRun(tag, parsed, target, call, is_ready=is_ready, tell=self._tell)
        self._live.expect(run)

    def run(self, tag: int) -> None:
        """Run the job that was handed over under this tag, if it still waits."""
        run = self._live.begin(tag)
        if run is None:
            return
        try:
            with about_job(run.job_id):
                if self._claim(run):
                    self._carry_out(run)
        finally:
            self._live.end(run)

    def _claim(self, run: LiveRun) -> bool:
        settings = self._runtime.settings
        try:
            with self._runtime.database.statement() as connection:
                claim = runs.claim_job(
                    connection,
                    run.job_id,
                    worker=self._runtime.worker,
                    target=run.target,
                    phase=Phase.GENERATING if run.is_ready else Phase.LOADING,
                    lease_s=settings.lease_s,
                    # A job of a web process that is gone is the reaper's. After a time without the
                    # database nobody has been heard of, and a message that is dropped is missed.
                    web_silence_s=FORGET_WEBS_AFTER_S,
                )
        except DatabaseUnavailable as error:
            log.warning("job not claimed", extra={"error": str(error)})
            run.say_ended(error, is_looked_at=False)
            return False
        if claim is None:
            log.debug("job is not waiting any more")
            run.say_ended(None)
            return False
        run.claimed(claim, self._sink(claim))
        return True

    def _sink(self, claim: runs.Claim) -> Sink:
        if claim.web_id is None:
            return CollectedSink(claim, limit_bytes=self._runtime.settings.artifact_max_bytes)
        outgoing = self._runtime.senders.open(claim.web_id, claim.job_id, claim.fence)
        return ToldSink(claim, outgoing)

    def _carry_out(self, run: LiveRun) -> None:
        try:
            with stopped_at_deadline(run):
                self._prepare(run)
                _pump(run, self._asked(run), self._runtime.settings)
                outcome = run.sink.finish()
        except ForemanError as error:
            self._fail(run, run.stopped_by or error)
        except Exception:
            # A defect. Its job ends by it, and does not wait for the reaper to run it once more.
            log.exception("run failed by a defect")
            self._fail(run, run.stopped_by or Defect())
        else:
            self._leave_target(run, None)
            self._ends.succeed(run.claim, outcome, run.is_given_up)
            _log_end(run, outcome)
        finally:
            run.call.close()
            run.sink.close()

    def _prepare(self, run: LiveRun) -> None:
        """Return once the target has what the job needs, and its body is read."""
        if run.stopped_by is not None:
            raise run.stopped_by
        if run.is_ready:
            run.say_claimed(Residency(run.claim.model))
            run.begin()
            run.claim = with_body(self._runtime.database, run.claim)
            return
        run.claim = with_body(self._runtime.database, run.claim)
        run.say_claimed(_residency(run.claim))
        run.wait_until_ready()
        run.begin()
        with self._runtime.database.statement() as connection:
            runs.mark_generating(connection, run.job_id, run.claim.fence)

    def _fail(self, run: LiveRun, cause: ForemanError) -> None:
        if isinstance(cause, TargetUnreachable):
            self._lose(run.target, str(cause))
        self._leave_target(run, cause)
        self._ends.fail(run.claim, run.sink, cause, run.is_given_up)

    def _leave_target(self, run: LiveRun, error: ForemanError | None) -> None:
        """The target is at rest: the next job need not wait until this one's end is recorded."""
        run.call.close()
        run.say_ended(error)

    def _asked(self, run: LiveRun) -> Asked:
        """The request to send; it alone holds the body from now on."""
        asked = ask(run.claim, self._body(run), run.sink)
        run.claim = replace(run.claim, body=b"")
        return asked

    def _body(self, run: LiveRun) -> Reshaped:
        """The body to send; an unload is left out of it while more of the residency waits."""
        claim = run.claim
        looked = unloading(claim.body, claim.endpoint)
        if looked is None:
            return unchanged(claim.body)
        if self._runtime.settings.keep_loaded and self._has_more(claim.queue):
            return kept_loaded(claim.body, looked)
        run.unloads_after = True
        return unchanged(claim.body)

    def _has_more(self, queue: str) -> bool:
        try:
            with self._runtime.database.statement() as connection:
                return upkeep.has_waiting(connection, queue)
        except DatabaseUnavailable:
            return False


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


def _pump(run: LiveRun, asked: Asked, settings: Settings) -> None:
    """Send the request, hand on what comes back."""
    sink = run.sink
    # An answer that is made whole before it is sent is silent for as long as the job takes.
    # The job's own limit comes first, and says nothing about the target.
    whole_s = settings.job_timeout_s + settings.lease_s
    first_byte_s = settings.first_byte_s if asked.streams else whole_s
    head = run.call.send(asked.request, first_byte_s=first_byte_s)
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


def _log_end(run: LiveRun, outcome: Outcome) -> None:
    took_s = round(time.monotonic() - run.started_at, 3)
    facts = {"model": run.claim.model, "status": outcome.status, "bytes": outcome.response_bytes}
    log.info("run ended", extra=facts | {"seconds": took_s})
