"""How a job ends before its time, and that no end is ever left."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import event

from foreman.core.states import END_STATES, JobState, Source
from foreman.ids import new_id
from foreman.store import jobs, renewals, runs, upkeep
from foreman.store.runs import Claim
from tests.integration.store.ground import LEASE_S, WEB_SILENCE_S, Store

Verb = Callable[[Store, Claim], object]


def cancel(store: Store, job_id: UUID) -> JobState | None:
    return store.do(jobs.cancel_job, job_id, reason="client_left")


def test_a_queued_job_is_cancelled_at_once(store: Store) -> None:
    job = store.queued()

    assert cancel(store, job.id) is JobState.CANCELLED

    assert store.events(job.id) == [(1, "queued", 0), (2, "cancelled", 0)]
    assert store.reasons(job.id)[-1] == "client_left"
    assert store.row(job.id)["ended_at"] is not None


def test_a_cancelled_job_never_reaches_the_gpu(store: Store) -> None:
    job = store.queued()
    cancel(store, job.id)

    assert store.claim(job.id) is None


def test_a_working_job_is_asked_to_stop_and_its_worker_ends_it(store: Store) -> None:
    claim = store.working()

    assert cancel(store, claim.job_id) is JobState.WORKING
    assert store.row(claim.job_id)["cancel_requested_at"] is not None
    assert store.events(claim.job_id)[-1] == (2, "working", 1)

    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.CANCELLED)
    assert store.state(claim.job_id) is JobState.CANCELLED


def test_a_cancel_may_be_repeated(store: Store) -> None:
    claim = store.working()
    cancel(store, claim.job_id)
    asked_at = store.row(claim.job_id)["cancel_requested_at"]

    assert cancel(store, claim.job_id) is JobState.WORKING
    assert store.row(claim.job_id)["cancel_requested_at"] == asked_at


def test_a_cancel_of_an_unknown_job_says_so(store: Store) -> None:
    assert cancel(store, new_id()) is None


@pytest.mark.parametrize("end", sorted(END_STATES))
def test_a_cancel_that_comes_too_late_says_how_the_job_ended(store: Store, end: JobState) -> None:
    claim = store.ended(end)

    assert cancel(store, claim.job_id) is end


def test_a_job_that_was_cancelled_while_it_worked_does_not_run_again(store: Store) -> None:
    claim = store.working()
    cancel(store, claim.job_id)
    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    assert store.claim(claim.job_id) is None


def test_a_cancel_that_meets_a_job_on_its_way_back_to_the_queue_is_not_lost(store: Store) -> None:
    claim = store.working()
    is_first = iter([True])

    with store.database.statement() as connection:

        @event.listens_for(connection, "after_cursor_execute")
        def between_two_statements(*_: object) -> None:
            if next(is_first, False):
                store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

        jobs.cancel_job(connection, claim.job_id, reason="client_left")

    assert store.claim(claim.job_id) is None


def test_a_job_that_was_not_started_in_time_expires(store: Store) -> None:
    job = store.queued(wait_s=60.0)
    store.set(job.id, "expires_at = now() - interval '1 ms'")

    assert store.do(jobs.expire_job, job.id)

    assert store.events(job.id) == [(1, "queued", 0), (2, "expired", 0)]
    assert store.row(job.id)["ended_at"] is not None


def test_a_job_that_was_started_does_not_expire(store: Store) -> None:
    claim = store.working(wait_s=60.0)

    assert not store.do(jobs.expire_job, claim.job_id)
    assert store.state(claim.job_id) is JobState.WORKING


def test_an_unknown_job_does_not_expire(store: Store) -> None:
    assert not store.do(jobs.expire_job, new_id())


def test_an_expired_job_says_the_same_whoever_noticed(store: Store) -> None:
    by_web, by_reaper = (
        store.queued(wait_s=60.0, source=Source.SYNC, web_id=store.web()) for _ in range(2)
    )
    store.sql("UPDATE jobs SET expires_at = now() - interval '1 ms'")

    store.do(jobs.expire_job, by_web.id)
    store.reap()

    assert store.do(jobs.read_ending, by_web.id) == store.do(jobs.read_ending, by_reaper.id)


VERBS: dict[str, Verb] = {
    "claim": lambda store, run: store.claim(run.job_id),
    "succeed": lambda store, run: store.do(
        runs.finish_run, run.job_id, run.fence, JobState.SUCCEEDED
    ),
    "fail": lambda store, run: store.do(runs.finish_run, run.job_id, run.fence, JobState.FAILED),
    "finish as cancelled": lambda store, run: store.do(
        runs.finish_run, run.job_id, run.fence, JobState.CANCELLED
    ),
    "give back": lambda store, run: store.do(
        runs.give_back, run.job_id, run.fence, reason="shutting_down"
    ),
    "renew": lambda store, run: store.do(
        renewals.renew_runs,
        {run.job_id: run.fence},
        lease_s=LEASE_S,
        web_silence_s=WEB_SILENCE_S,
    ),
    "expire": lambda store, run: store.do(jobs.expire_job, run.job_id),
    "mark answering": lambda store, run: store.do(runs.mark_answering, [run.job_id]),
    "unpublish": lambda store, run: store.do(upkeep.unpublish, [run.job_id]),
    "reap": lambda store, run: store.reap(),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("end", sorted(END_STATES))
def test_nothing_leaves_an_end_state(store: Store, end: JobState, verb: Verb) -> None:
    claim = store.ended(end)
    # As tempting as can be for a reaper: late, silent, asked for.
    store.set(
        claim.job_id,
        "source = 'sync', lease_until = now() - interval '1 h',"
        " expires_at = now() - interval '1 h',"
        " published_at = now() - interval '1 h', cancel_requested_at = now() - interval '1 h'",
    )
    before, events = store.row(claim.job_id), store.events(claim.job_id)

    done = verb(store, claim)

    assert not done
    assert store.row(claim.job_id) == before
    assert store.events(claim.job_id) == events


def test_a_cancel_does_not_touch_a_job_that_has_ended(store: Store) -> None:
    ended = [store.ended(state).job_id for state in sorted(END_STATES)]
    before = [store.row(job_id) for job_id in ended]

    for job_id in ended:
        cancel(store, job_id)

    assert [store.row(job_id) for job_id in ended] == before
