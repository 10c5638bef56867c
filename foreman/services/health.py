"""Whether a target does real work. Its lists prove nothing: a wedged server goes on answering them.

A target that lets requests run out of time before their first byte, or hangs up on several in a
row, is sick: its jobs are queued again, unseen, and it gets no others until a one-token generation
has come back.
"""

import json
import logging
import time
from collections.abc import Callable
from uuid import UUID

from foreman.adapters.target import TargetRequest
from foreman.core.lease import Lease
from foreman.errors import (
    DatabaseUnavailable,
    ForemanError,
    JobTooLong,
    LoadFailed,
    TargetError,
    TargetGivenUp,
    TargetRedirects,
    TargetTimeout,
)
from foreman.runtime import WorkerRuntime
from foreman.services.running import Run
from foreman.store import residents

log = logging.getLogger(__name__)

# Jobs in a row whose answers were cut before their first byte; one job in all its runs may be the
# cause of it itself.
CUT_JOBS = 3
PROBE_FIRST_S, PROBE_LIMIT_S = 2.0, 30.0
# What says nothing of the target's health, or is said by it.
_NOT_OF_TARGET = (LoadFailed, JobTooLong, TargetGivenUp, TargetRedirects)


class Health:
    """The health of the one target that this worker drives."""

    def __init__(self, runtime: WorkerRuntime, on_sick: Callable[[TargetGivenUp], None]) -> None:
        self._runtime = runtime
        self._on_sick = on_sick
        self._cut_jobs: set[UUID] = set()
        self._model = ""
        self._probe_at = 0.0
        self._pause_s = PROBE_FIRST_S
        self._told: str | None = None  # what the target's row says
        self.sick_of: str | None = None

    @property
    def is_well(self) -> bool:
        return self.sick_of is None

    def reset(self) -> None:
        """Nothing is held against it any more."""
        self._cut_jobs.clear()
        self.sick_of, self._pause_s = None, PROBE_FIRST_S

    def begin(self) -> None:
        """A target was leased: its row says that it is well."""
        self.reset()
        self._told = None

    def note(self, run: Run, error: ForemanError | None) -> None:
        """Learn from how a run ended."""
        self._model = run.claim.model
        if error is None or run.received_bytes:
            self._cut_jobs.clear()
        elif isinstance(error, TargetTimeout) and not isinstance(error, JobTooLong):
            self._fall_sick(error)
        elif isinstance(error, TargetError) and not isinstance(error, _NOT_OF_TARGET):
            self._cut_jobs.add(run.claim.job_id)
            if len(self._cut_jobs) >= CUT_JOBS:
                self._fall_sick(error)

    def _fall_sick(self, error: ForemanError) -> None:
        if self.sick_of is not None:
            return
        log.error("target is sick", extra={"error": str(error)})
        self.sick_of = str(error)
        self._probe_at = time.monotonic() + self._pause_s
        self._on_sick(TargetGivenUp())

    def tend(self, lease: Lease) -> None:
        """Called every second or so: say how the target is, and probe it when that is due."""
        is_away = not self._runtime.catalog.is_reachable(lease.target)
        self._tell(lease, self.sick_of or ("it does not answer" if is_away else None))
        if self.sick_of is not None and not is_away and time.monotonic() >= self._probe_at:
            self._probe(lease)

    def _tell(self, lease: Lease, told: str | None) -> None:
        if told == self._told:
            return
        try:
            with self._runtime.database.statement() as connection:
                residents.mark_sick(connection, lease, told)
            self._told = told
        except DatabaseUnavailable as error:
            log.warning("health not told", extra={"error": str(error)})

    def _probe(self, lease: Lease) -> None:
        wish = {"model": self._model, "prompt": "1", "stream": False, "options": {"num_predict": 1}}
        request = TargetRequest("POST", "/api/generate", body=json.dumps(wish).encode())
        try:
            # As long as any answer may take: to hang up earlier would throw its load away.
            head, _ = self._runtime.targets[lease.target].fetch(request, silence_s=None)
            why = f"it answered {head.status}" if head.status >= 500 else None
        except TargetError as error:
            why = str(error)
        if why is None:
            log.info("target is well again", extra={"status": head.status})
            self.reset()
            return
        self._pause_s = min(2 * self._pause_s, PROBE_LIMIT_S)
        self._probe_at = time.monotonic() + self._pause_s
        log.warning("target is still sick", extra={"error": why})
