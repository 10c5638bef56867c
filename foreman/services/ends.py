"""How runs end: their jobs are finished, given back or, fenced off, left alone."""

import itertools
import logging
import random
import time
from collections.abc import Callable
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

# While the database is away, an end is kept and tried again: what was generated is not generated
# twice. When this process stops, or the run is fenced off, it is not kept any longer than this.
TRIES_AT_LEAST = 5
RETRY_S, RETRY_LIMIT_S = 0.1, 1.0

Write = Callable[[], bool]


class Ends:
    """Writes the ends of one worker's runs.

    `is_stopped` says of a run whose end the database does not take that it is not kept any longer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def succeed(
        self, claim: Claim, outcome: Outcome, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """The answer is whole."""
        self._finish(claim, JobState.SUCCEEDED, outcome, None, is_stopped)

    def fail(
        self,
        claim: Claim,
        sink: Sink,
        error: ForemanError,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Queue the job again if it may start over, else end it: with this error, or cancelled."""
        failure = _failure(error)
        log.info("run failed", extra={"code": failure.code, "error": failure.message})
        if isinstance(error, WorkerLost) and not sink.is_seen:
            self._leave(claim, failure)
            return
        is_open = may_run_again(
            error, attempt=claim.attempt, max_attempts=claim.max_attempts, is_seen=sink.is_seen
        )
        if is_open:
            back = partial(self._give_back, claim, failure, is_counted=counts(error))
            if self._insist(back, is_stopped) is not False:
                return  # queued again, or nobody can say
        outcome = sink.fail(failure)
        is_cancelled = isinstance(error, JobCancelled)
        state = JobState.CANCELLED if is_cancelled else JobState.FAILED
        self._finish(claim, state, outcome, failure, is_stopped)

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
        self,
        claim: Claim,
        state: JobState,
        outcome: Outcome,
        failure: Failure | None,
        is_stopped: Callable[[], bool],
    ) -> None:
        write = partial(self._write, claim, state, outcome, failure)
        if self._insist(write, is_stopped) is False:
            log.warning("run was fenced off", extra={"fence": claim.fence})

    def _insist(self, write: Write, is_stopped: Callable[[], bool]) -> bool | None:
        """What `write` says, as soon as the database takes it; None: it was not kept for so long.

        Meanwhile the run's lease is renewed whenever that goes through, and the reaper waits for
        it: it is lost when somebody else has the job, and then the row says so.
        """
        for tries in itertools.count(1):
            try:
                return write()
            except DatabaseUnavailable as error:
                if tries & (tries - 1) == 0:  # less and less often
                    log.warning("end not recorded", extra={"try": tries, "error": str(error)})
                if tries >= TRIES_AT_LEAST and is_stopped():
                    break
                time.sleep(min(2 ** min(tries, 10) * RETRY_S, RETRY_LIMIT_S))
        log.error("end of a run is lost: the worker stops, or has lost its lease")
        return None

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
