"""How runs end: their jobs are finished, given back or, fenced off, left alone."""

import logging
import random
import time
from contextlib import suppress
from functools import partial

from foreman.core.attempts import counts, may_run_again, pause_s
from foreman.core.frames import Failure
from foreman.core.states import JobState, Source
from foreman.errors import DatabaseUnavailable, ForemanError, JobCancelled, WorkerLost
from foreman.services.sink import Outcome, Sink
from foreman.store import runs
from foreman.store.db import Database
from foreman.store.produced import keep_artifacts
from foreman.store.runs import Claim

log = logging.getLogger(__name__)

# A finish that the database does not take is tried again, then left to the reaper.
FINISH_TRIES = 5


class Ends:
    """Writes the ends of one worker's runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def succeed(self, claim: Claim, outcome: Outcome) -> None:
        """The answer is whole."""
        self._finish(claim, JobState.SUCCEEDED, outcome)

    def fail(self, claim: Claim, sink: Sink, error: ForemanError) -> None:
        """Queue the job again if it may start over, else end it: with this error, or cancelled."""
        failure = _failure(error)
        log.info("run failed", extra={"code": failure.code, "error": failure.message})
        if isinstance(error, WorkerLost) and not sink.is_seen:
            self._leave(claim, failure)
            return
        is_open = may_run_again(
            error, attempt=claim.attempt, max_attempts=claim.max_attempts, is_seen=sink.is_seen
        )
        if is_open and self._give_back(claim, failure, is_counted=counts(error)):
            return
        outcome = sink.fail(failure)
        is_cancelled = isinstance(error, JobCancelled)
        state = JobState.CANCELLED if is_cancelled else JobState.FAILED
        self._finish(claim, state, outcome, failure)

    def _leave(self, claim: Claim, failure: Failure) -> None:
        """The job is somebody else's, and then this does nothing; or the target alone is lost.

        Then it need not wait until its own lease has run out, too. As one of the reaper's it goes
        on at once, and the run counts: it may be what kept the worker from its lease.
        """
        if claim.attempt < claim.max_attempts:
            with suppress(DatabaseUnavailable), self._database.statement() as connection:
                runs.give_back(
                    connection, claim.job_id, claim.fence, reason=failure.code, is_counted=True
                )

    def _give_back(self, claim: Claim, failure: Failure, *, is_counted: bool) -> bool:
        # Somebody waits for a synchronous job: it does not pause, and its errors are not told.
        is_patient = claim.source is Source.ASYNC and is_counted
        with self._database.statement() as connection:
            return runs.give_back(
                connection,
                claim.job_id,
                claim.fence,
                reason=failure.code,
                is_counted=is_counted,
                failure=failure if is_patient else None,
                pause_s=pause_s(claim.attempt, luck=random.uniform(-1, 1)) if is_patient else None,
            )

    def _finish(
        self, claim: Claim, state: JobState, outcome: Outcome, failure: Failure | None = None
    ) -> None:
        for attempt in range(FINISH_TRIES):
            try:
                if not self._write(claim, state, outcome, failure):
                    log.warning("run was fenced off", extra={"fence": claim.fence})
                return
            except DatabaseUnavailable as error:
                log.warning("end not recorded", extra={"try": attempt, "error": str(error)})
                time.sleep(2**attempt * 0.1)

    def _write(
        self, claim: Claim, state: JobState, outcome: Outcome, failure: Failure | None
    ) -> bool:
        database, artifacts = self._database, outcome.artifacts
        with database.transaction() if artifacts else database.statement() as connection:
            is_newest = not artifacts or keep_artifacts(
                connection, claim.job_id, claim.fence, artifacts
            )
            end = partial(
                runs.finish_run,
                connection,
                claim.job_id,
                claim.fence,
                status=outcome.status,
                response_bytes=outcome.response_bytes,
                usage=outcome.usage,
            )
            has_ended = is_newest and end(state, failure=failure)
            if is_newest and not has_ended and state is JobState.FAILED:
                # Fenced off, and then this does nothing, or somebody has asked to cancel it.
                has_ended = end(JobState.CANCELLED, failure=_CANCELLED)
            if artifacts and not has_ended:
                connection.rollback()
            return has_ended


def _failure(error: ForemanError) -> Failure:
    return Failure(error.status, error.code, str(error), error.is_permanent)


_CANCELLED = _failure(JobCancelled())
