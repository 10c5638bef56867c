"""Jobs that are tried again: their pause, their attempts, their limits in time, their progress."""

import pytest

from foreman.core.frames import Failure
from foreman.core.states import JobState
from foreman.ids import new_id
from foreman.store import renewals, runs, upkeep
from tests.integration.store.ground import Store

CUT = Failure(502, "target_cut", "it was cut", is_permanent=False)
PAST, FUTURE = "now() - interval '1 ms'", "now() + interval '1 hour'"


def paused(store: Store, pause_s: float = 60.0) -> runs.Claim:
    claim = store.working()
    assert store.do(
        runs.give_back,
        claim.job_id,
        claim.fence,
        reason=CUT.code,
        failure=CUT,
        pause_s=pause_s,
    )
    return claim


def test_a_job_that_pauses_waits_with_its_last_error(store: Store) -> None:
    claim = paused(store)

    row = store.row(claim.job_id)
    assert (row["state"], row["attempt"], row["ended_at"]) == ("queued", 1, None)
    assert (row["error_code"], row["error_message"]) == ("target_cut", "it was cut")
    assert row["error_is_permanent"] is False
    assert store.reasons(claim.job_id)[-1] == "target_cut"


def test_a_job_that_pauses_is_neither_published_nor_claimed_nor_counted(store: Store) -> None:
    claim = paused(store)

    assert store.do(upkeep.unpublished) == []
    assert store.do(upkeep.waiting_queues) == []
    assert store.claim(claim.job_id) is None


def test_after_its_pause_a_job_runs_again(store: Store) -> None:
    claim = paused(store)
    store.set(claim.job_id, f"ready_at = {PAST}")

    assert [each.job_id for each in store.do(upkeep.unpublished)] == [claim.job_id]
    again = store.claim(claim.job_id)

    assert again
    assert (again.attempt, again.fence) == (2, 2)


def test_a_success_forgets_the_error_before(store: Store) -> None:
    job_id = paused(store, pause_s=0.0).job_id
    again = store.claim(job_id)
    assert again

    store.do(runs.finish_run, job_id, again.fence, JobState.SUCCEEDED, status=200)

    row = store.row(job_id)
    assert (row["error_code"], row["error_message"], row["error_is_permanent"]) == (None,) * 3


def test_a_run_that_does_not_count_leaves_the_attempts_as_they_were(store: Store) -> None:
    claim = store.working()
    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down", is_counted=False)

    again = store.claim(claim.job_id)

    assert again
    assert (again.attempt, again.fence) == (1, 2)


def test_a_claim_says_how_long_the_job_may_take(store: Store) -> None:
    job_id = store.queued().id
    store.set(job_id, f"deadline_at = {FUTURE}, keeps_stream = true")

    claim = store.claim(job_id)

    assert claim
    assert claim.time_left_s is not None
    assert 3590 < claim.time_left_s <= 3600
    assert claim.keeps_stream


def test_a_queued_job_past_its_deadline_is_not_claimed_and_expires(store: Store) -> None:
    late, early = store.queued().id, store.queued().id
    store.set(late, f"deadline_at = {PAST}")
    store.set(early, f"deadline_at = {FUTURE}")
    assert store.claim(late) is None

    (reaped,) = store.do(upkeep.reap_expired)

    assert (reaped.job_id, reaped.state) == (late, JobState.EXPIRED)
    row = store.row(late)
    assert (row["error_code"], row["error_is_permanent"]) == ("deadline", True)


def test_a_stalled_job_past_its_deadline_fails(store: Store) -> None:
    claim = store.stalled()
    store.set(claim.job_id, f"deadline_at = {PAST}")

    (reaped,) = store.do(upkeep.reap_stalled)

    assert (reaped.state, store.row(claim.job_id)["error_code"]) == (JobState.FAILED, "deadline")


@pytest.mark.parametrize("was_started", [True, False])
def test_the_time_to_start_is_over_once_a_job_was_started(store: Store, was_started: bool) -> None:
    job_id = paused(store, pause_s=0.0).job_id if was_started else store.queued().id
    store.set(job_id, f"expires_at = {PAST}")

    expired = store.do(upkeep.reap_expired)

    assert [each.job_id for each in expired] == ([] if was_started else [job_id])
    assert (store.claim(job_id) is not None) is was_started


def test_progress_is_written_of_newest_runs_only(store: Store) -> None:
    first, second, old = store.working(), store.working(), store.working()
    store.do(runs.give_back, old.job_id, old.fence, reason="worker_lost")
    store.claim(old.job_id)

    store.do(
        renewals.note_progress,
        {
            (first.job_id, first.fence): 7,
            (second.job_id, second.fence): 9,
            (old.job_id, old.fence): 11,
            (new_id(), 1): 13,
        },
    )

    assert store.row(first.job_id)["output_tokens"] == 7
    assert store.row(second.job_id)["output_tokens"] == 9
    assert store.row(old.job_id)["output_tokens"] is None


def test_the_tokens_of_a_lost_run_are_not_the_next_ones(store: Store) -> None:
    claim = store.stalled()
    store.do(renewals.note_progress, {(claim.job_id, claim.fence): 7})

    store.do(upkeep.reap_stalled)

    assert store.row(claim.job_id)["output_tokens"] is None
