"""A job that somebody asked to cancel ends as cancelled, whatever its run met meanwhile."""

from dataclasses import replace

import pytest

from foreman.core.states import JobState
from foreman.errors import DeadlinePassed, ForemanError, ShuttingDown, TargetCut, TargetRefused
from foreman.services.collecting import CollectedSink
from foreman.services.ends import Ends
from foreman.store import jobs
from tests.integration.store.ground import Store


@pytest.mark.parametrize(
    "error", [TargetCut(), TargetRefused(), ShuttingDown(), DeadlinePassed()], ids=lambda e: e.code
)
@pytest.mark.parametrize("keeps_stream", [False, True])
def test_a_cancel_that_was_answered_is_how_a_failing_run_ends(
    store: Store, error: ForemanError, keeps_stream: bool
) -> None:
    claim = replace(store.working(), keeps_stream=keeps_stream)
    sink = CollectedSink(claim, limit_bytes=1000)
    store.do(jobs.cancel_job, claim.job_id, reason="asked")

    Ends(store.database).fail(claim, sink, error)

    row = store.row(claim.job_id)
    assert (row["state"], row["error_code"]) == ("cancelled", "cancelled")
    assert store.reasons(claim.job_id)[-1] == "cancelled"
    assert store.events(claim.job_id)[-1] == (3, "cancelled", 1)
    assert len(store.sql("SELECT * FROM artifacts")) == keeps_stream


def test_a_run_that_nobody_asked_to_cancel_fails(store: Store) -> None:
    claim = store.working()

    Ends(store.database).fail(claim, CollectedSink(claim, limit_bytes=1000), TargetRefused())

    row = store.row(claim.job_id)
    assert (row["state"], row["error_code"]) == ("failed", "target_refused")


def test_a_run_that_was_fenced_off_cancels_nothing(store: Store) -> None:
    old = store.stalled()
    store.reap()
    new = store.claim(old.job_id)
    assert new
    store.do(jobs.cancel_job, old.job_id, reason="asked")

    Ends(store.database).fail(old, CollectedSink(old, limit_bytes=1000), TargetRefused())

    assert store.state(old.job_id) is JobState.WORKING
