"""The life of a job: accepted, claimed, renewed, finished, given back. The fence decides."""

import pytest
from sqlalchemy import text

from foreman.core.states import JobState, Source
from foreman.ids import new_id
from foreman.store import jobs, payloads, renewals, runs, targets
from tests.factories import failure, new_job
from tests.integration.store.ground import LEASE_S, WEB_SILENCE_S, Store

MIB = 1024 * 1024


def test_an_accepted_job_waits_and_counts_as_published(store: Store) -> None:
    job = store.queued(wait_s=1800.0)

    row = store.row(job.id)
    assert (row["state"], row["fence"], row["attempt"], row["seq"]) == ("queued", 0, 0, 1)
    assert (row["publish_tries"], row["published_at"]) == (1, row["created_at"])
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 1800
    assert store.events(job.id) == [(1, "queued", 0)]


def test_a_job_without_a_limit_never_expires(store: Store) -> None:
    assert store.row(store.queued(wait_s=None).id)["expires_at"] is None


def test_a_claim_has_all_that_the_run_needs(store: Store) -> None:
    web_id = store.web()
    job = store.queued(
        endpoint="/v1/messages",
        query="ts=1&x=%20",
        headers=[("X-Twice", "1"), ("Accept", "*/*"), ("X-Twice", "2")],
        body=bytes(range(256)),
        web_id=web_id,
        max_attempts=7,
    )

    claim = store.claim(job.id)

    assert claim
    assert 0 <= claim.waited_s < 30
    assert claim == runs.Claim(
        job_id=job.id,
        fence=1,
        attempt=1,
        max_attempts=7,
        endpoint="/v1/messages",
        model=job.model,
        queue=job.queue,
        web_id=web_id,
        query="ts=1&x=%20",
        headers=[("X-Twice", "1"), ("Accept", "*/*"), ("X-Twice", "2")],
        body=bytes(range(256)),
        source=job.source,
        streams=True,
        waited_s=claim.waited_s,
    )


def test_a_body_of_twenty_mib_comes_back_byte_for_byte(store: Store) -> None:
    body = bytes(range(256)) * (20 * MIB // 256)

    claim = store.working(body=body)

    assert (claim.body, claim.unread_bytes) == (b"", len(body))
    assert store.do(payloads.read_body, claim.job_id, claim.unread_bytes) == body


def test_a_whole_life_is_one_event_a_transition_without_a_gap(store: Store) -> None:
    claim = store.working()
    assert store.do(
        runs.finish_run,
        claim.job_id,
        claim.fence,
        JobState.SUCCEEDED,
        status=200,
        response_bytes=5_000_000_000,
    )

    row = store.row(claim.job_id)
    assert store.events(claim.job_id) == [(1, "queued", 0), (2, "working", 1), (3, "succeeded", 1)]
    assert (row["state"], row["seq"], row["status"]) == ("succeeded", 3, 200)
    assert row["response_bytes"] == 5_000_000_000
    assert row["queued_at"] <= row["working_at"] <= row["ended_at"]
    assert row["lease_until"] is None


def test_a_working_job_says_who_runs_it_and_until_when(store: Store) -> None:
    claim = store.working()

    row = store.row(claim.job_id)
    assert (row["worker"], row["target"]) == ("worker1", "gpu")
    assert (row["lease_until"] - row["working_at"]).total_seconds() == LEASE_S


def test_a_failed_run_says_why(store: Store) -> None:
    claim = store.working()
    why = failure("the target refused", status=502, code="target_unreachable")

    store.do(runs.finish_run, claim.job_id, claim.fence, JobState.FAILED, failure=why)

    ending = store.do(jobs.read_ending, claim.job_id)
    assert ending == jobs.Ending(JobState.FAILED, "target_unreachable", "the target refused")
    assert store.reasons(claim.job_id)[-1] == "target_unreachable"


def test_a_doubled_message_claims_nothing(store: Store) -> None:
    claim = store.working()
    before = store.row(claim.job_id)

    assert store.claim(claim.job_id, worker="worker2") is None
    assert store.row(claim.job_id) == before


def test_a_message_of_an_unknown_job_claims_nothing(store: Store) -> None:
    assert store.claim(new_id()) is None


def test_a_job_whose_client_is_gone_with_its_web_process_is_not_claimed(store: Store) -> None:
    silent = store.web()
    jobs_of_the_dead = [store.queued(web_id=silent), store.queued(web_id=new_id())]
    store.silence(silent, WEB_SILENCE_S + 1)

    assert [store.claim(job.id) for job in jobs_of_the_dead] == [None, None]


def test_a_job_past_its_time_is_not_claimed(store: Store) -> None:
    job = store.queued(wait_s=60.0)
    store.set(job.id, "expires_at = now() - interval '1 ms'")

    assert store.claim(job.id) is None
    assert store.state(job.id) is JobState.QUEUED


def test_a_run_that_was_given_back_queues_again_and_is_owed_a_message(store: Store) -> None:
    claim = store.working()

    assert store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    row = store.row(claim.job_id)
    assert (row["state"], row["published_at"], row["lease_until"]) == ("queued", None, None)
    assert store.events(claim.job_id)[-1] == (3, "queued", 1)
    assert store.reasons(claim.job_id)[-1] == "shutting_down"


def test_a_run_that_was_given_back_keeps_its_place_in_the_queue(store: Store) -> None:
    claim = store.working()
    queued_at = store.row(claim.job_id)["queued_at"]

    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    assert store.row(claim.job_id)["queued_at"] == queued_at


def test_the_next_run_has_a_higher_fence_and_another_attempt(store: Store) -> None:
    first = store.working()
    store.do(runs.give_back, first.job_id, first.fence, reason="shutting_down")

    second = store.claim(first.job_id)

    assert second
    assert (second.fence, second.attempt) == (2, 2)
    assert store.events(first.job_id)[-1] == (4, "working", 2)


def test_a_run_with_an_older_fence_changes_nothing(store: Store) -> None:
    old = store.working()
    store.do(runs.give_back, old.job_id, old.fence, reason="shutting_down")
    assert store.claim(old.job_id)
    before = store.row(old.job_id)

    finished = store.do(runs.finish_run, old.job_id, old.fence, JobState.SUCCEEDED)
    given_back = store.do(runs.give_back, old.job_id, old.fence, reason="late")
    renewed = renew(store, old)

    assert (finished, given_back, renewed) == (False, False, None)
    assert store.row(old.job_id) == before


def test_a_run_that_was_given_back_cannot_be_finished(store: Store) -> None:
    claim = store.working()
    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    assert not store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED)
    assert store.state(claim.job_id) is JobState.QUEUED


def renew(store: Store, claim: runs.Claim) -> renewals.Renewal | None:
    renewed = store.do(
        renewals.renew_runs,
        {claim.job_id: claim.fence},
        lease_s=LEASE_S,
        web_silence_s=WEB_SILENCE_S,
    )
    return renewed.get(claim.job_id)


def test_a_renewal_prolongs_the_lease_from_now(store: Store) -> None:
    claim = store.stalled()

    assert renew(store, claim) == renewals.Renewal(is_cancelled=False, has_listener=True)

    left = store.sql("SELECT lease_until - now() AS left FROM jobs")[0]["left"]
    assert LEASE_S - 5 < left.total_seconds() <= LEASE_S


def test_a_renewal_tells_that_the_job_is_to_be_cancelled(store: Store) -> None:
    claim = store.working()
    store.do(jobs.cancel_job, claim.job_id, reason="asked")

    assert renew(store, claim) == renewals.Renewal(is_cancelled=True, has_listener=True)


@pytest.mark.parametrize(("silent_s", "listens"), [(0, True), (29, True), (31, False)])
def test_a_renewal_tells_whether_somebody_listens(
    store: Store, silent_s: float, listens: bool
) -> None:
    web_id = store.web()
    claim = store.working(web_id=web_id)
    store.silence(web_id, silent_s)

    assert renew(store, claim) == renewals.Renewal(is_cancelled=False, has_listener=listens)


def test_nobody_listens_when_the_web_process_has_ended(store: Store) -> None:
    web_id = store.web()
    claim = store.working(web_id=web_id)
    store.do(targets.unregister_web, web_id)

    assert renew(store, claim) == renewals.Renewal(is_cancelled=False, has_listener=False)


def test_runs_are_renewed_together_and_the_lost_one_is_missing(store: Store) -> None:
    claims = [store.working() for _ in range(3)]
    store.do(runs.finish_run, claims[1].job_id, claims[1].fence, JobState.SUCCEEDED)

    renewed = store.do(
        renewals.renew_runs,
        {claim.job_id: claim.fence for claim in claims},
        lease_s=LEASE_S,
        web_silence_s=WEB_SILENCE_S,
    )

    assert set(renewed) == {claims[0].job_id, claims[2].job_id}


def test_a_run_whose_row_is_locked_is_neither_waited_for_nor_lost(store: Store) -> None:
    held, free = store.working(), store.working()
    store.do(jobs.cancel_job, held.job_id, reason="asked")
    before = store.row(held.job_id)["lease_until"]
    runs_of = {claim.job_id: claim.fence for claim in (held, free)}

    with store.database.transaction() as holder:
        holder.execute(
            text("SELECT id FROM jobs WHERE id = :id FOR UPDATE"), {"id": held.job_id}
        ).one()
        renewed = store.do(
            renewals.renew_runs, runs_of, lease_s=2 * LEASE_S, web_silence_s=WEB_SILENCE_S
        )
        store.do(renewals.note_progress, dict.fromkeys(runs_of.items(), 7))

    assert renewed[free.job_id].is_renewed
    assert renewed[held.job_id] == renewals.Renewal(
        is_cancelled=True, has_listener=True, is_renewed=False
    )
    assert store.row(held.job_id)["lease_until"] == before
    assert store.row(free.job_id)["lease_until"] > before
    assert [store.row(each)["output_tokens"] for each in runs_of] == [None, 7]


def test_a_worker_without_runs_renews_nothing(store: Store) -> None:
    store.working()

    assert store.do(renewals.renew_runs, {}, lease_s=LEASE_S, web_silence_s=WEB_SILENCE_S) == {}


def test_the_first_bytes_are_noted_once_and_only_while_working(store: Store) -> None:
    claim, waits = store.working(), store.queued()
    store.do(runs.mark_answering, [claim.job_id, waits.id])
    first = store.row(claim.job_id)["answering_at"]

    store.do(runs.mark_answering, [claim.job_id])

    assert first is not None
    assert store.row(claim.job_id)["answering_at"] == first
    assert store.row(waits.id)["answering_at"] is None


def test_an_unknown_job_has_no_ending(store: Store) -> None:
    assert store.do(jobs.read_ending, new_id()) is None


@pytest.mark.parametrize("source", Source)
def test_jobs_of_both_sources_live_the_same_life(store: Store, source: Source) -> None:
    claim = store.working(source=source)

    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED)
    assert [state for _, state, _ in store.events(claim.job_id)] == [
        "queued", "working", "succeeded",
    ]  # fmt: skip


def test_a_statement_that_fails_leaves_no_part_of_a_job(store: Store) -> None:
    job = store.queued()

    with pytest.raises(Exception, match="duplicate key"):
        store.do(jobs.insert_job, new_job(id=job.id))

    counts = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM payloads) AS payloads"
    assert store.sql(counts) == [{"count": 1, "payloads": 1}]
    assert store.events(job.id) == [(1, "queued", 0)]
