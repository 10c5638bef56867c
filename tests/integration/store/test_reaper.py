"""What dead processes held: stalled runs, abandoned and expired jobs."""

import pytest

from foreman.core.states import JobState, Source
from foreman.ids import new_id
from foreman.store import jobs, runs, targets, upkeep
from tests.integration.store.ground import WEB_SILENCE_S, Store


def stalled_now(store: Store) -> list[upkeep.Reaped]:
    return store.do(upkeep.reap_stalled)


def abandoned_now(store: Store) -> list[upkeep.Reaped]:
    return store.do(upkeep.reap_abandoned, web_silence_s=WEB_SILENCE_S)


def test_a_stalled_job_queues_again_and_is_owed_a_message(store: Store) -> None:
    claim = store.stalled()

    reaped = stalled_now(store)

    row = store.row(claim.job_id)
    assert [(each.job_id, each.state) for each in reaped] == [(claim.job_id, JobState.QUEUED)]
    assert (row["state"], row["published_at"], row["lease_until"]) == ("queued", None, None)
    assert store.events(claim.job_id)[-1] == (3, "queued", 1)
    assert store.reasons(claim.job_id)[-1] == "worker_lost"


def test_a_worker_that_holds_its_target_has_longer_to_renew_a_run(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu", worker="worker1")
    claim = store.stalled()

    assert store.do(upkeep.reap_stalled, grace_s=60.0) == []
    store.set(claim.job_id, "lease_until = now() - interval '61 s'")
    assert [each.job_id for each in store.do(upkeep.reap_stalled, grace_s=60.0)] == [claim.job_id]

    again = store.stalled()
    store.do(targets.release_lease, lease)
    assert [each.job_id for each in store.do(upkeep.reap_stalled, grace_s=60.0)] == [again.job_id]


def test_a_stalled_job_of_the_last_attempt_fails_and_says_why(store: Store) -> None:
    claim = store.stalled(max_attempts=1)

    reaped = stalled_now(store)

    assert [each.state for each in reaped] == [JobState.FAILED]
    assert store.events(claim.job_id)[-1] == (3, "failed", 1)
    ending = store.do(jobs.read_ending, claim.job_id)
    assert ending
    assert ending.error_code == "worker_lost"
    assert store.row(claim.job_id)["ended_at"] is not None


def test_a_stalled_job_whose_client_has_bytes_of_it_fails(store: Store) -> None:
    claim = store.stalled()
    store.do(runs.mark_answering, [claim.job_id])

    assert [each.state for each in stalled_now(store)] == [JobState.FAILED]


def test_a_stalled_job_that_nobody_wants_is_cancelled(store: Store) -> None:
    claim = store.stalled(max_attempts=1)
    store.do(jobs.cancel_job, claim.job_id, reason="client_left")

    assert [each.state for each in stalled_now(store)] == [JobState.CANCELLED]
    assert store.events(claim.job_id)[-1] == (3, "cancelled", 1)


def test_all_stalled_jobs_are_told_apart_in_one_turn(store: Store) -> None:
    again, hopeless, unwanted = store.stalled(), store.stalled(max_attempts=1), store.stalled()
    store.do(jobs.cancel_job, unwanted.job_id, reason="client_left")

    reaped = {each.job_id: each.state for each in stalled_now(store)}

    assert reaped == {
        again.job_id: JobState.QUEUED,
        hopeless.job_id: JobState.FAILED,
        unwanted.job_id: JobState.CANCELLED,
    }


def test_a_job_with_a_live_lease_is_not_stalled(store: Store) -> None:
    store.working()
    store.queued()

    assert stalled_now(store) == []


def test_a_lost_worker_that_comes_back_is_not_believed(store: Store) -> None:
    claim = store.stalled(max_attempts=1)
    (reaped,) = stalled_now(store)

    assert reaped.fence > claim.fence
    assert not store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED)


def test_a_reaped_job_runs_again_until_its_attempts_are_used(store: Store) -> None:
    job_id = store.queued(max_attempts=2).id
    outcomes = []
    for _ in range(2):
        assert store.claim(job_id)
        store.set(job_id, "lease_until = now() - interval '1 ms'")
        outcomes += [each.state for each in stalled_now(store)]

    assert outcomes == [JobState.QUEUED, JobState.FAILED]
    assert [event[1:] for event in store.events(job_id)] == [
        ("queued", 0), ("working", 1), ("queued", 1), ("working", 2), ("failed", 2),
    ]  # fmt: skip


def test_who_is_told_of_a_reaped_job_is_known(store: Store) -> None:
    web_id = store.web()
    claim = store.stalled(web_id=web_id, source=Source.SYNC)

    (reaped,) = stalled_now(store)

    assert (reaped.job_id, reaped.web_id) == (claim.job_id, web_id)
    assert reaped.model == claim.model


def test_a_queued_job_of_a_dead_web_process_is_cancelled(store: Store) -> None:
    web_id = store.web()
    job = store.queued(web_id=web_id, source=Source.SYNC)
    assert abandoned_now(store) == []
    store.silence(web_id, WEB_SILENCE_S + 1)

    assert [each.job_id for each in abandoned_now(store)] == [job.id]
    assert store.state(job.id) is JobState.CANCELLED
    assert store.events(job.id)[-1] == (2, "cancelled", 0)


def test_what_the_clients_of_an_ended_web_process_wait_for_is_cancelled_at_once(
    store: Store,
) -> None:
    web_id = store.web()
    job = store.queued(web_id=web_id, source=Source.SYNC)

    store.do(targets.unregister_web, web_id)

    assert [each.job_id for each in abandoned_now(store)] == [job.id]


def test_a_working_job_of_a_dead_web_process_is_left_to_its_worker_while_that_lives(
    store: Store,
) -> None:
    web_id = store.web()
    claim = store.working(web_id=web_id, source=Source.SYNC)
    store.do(targets.unregister_web, web_id)
    assert abandoned_now(store) == []
    store.set(claim.job_id, "lease_until = now() - interval '1 ms'")

    assert [each.state for each in abandoned_now(store)] == [JobState.CANCELLED]


def test_a_job_that_was_accepted_with_202_needs_no_web_process(store: Store) -> None:
    web_id = store.web()
    queued = store.queued(source=Source.ASYNC, web_id=web_id)
    store.stalled(source=Source.ASYNC)
    store.do(targets.unregister_web, web_id)

    assert abandoned_now(store) == []
    assert store.state(queued.id) is JobState.QUEUED


def test_a_job_not_started_in_time_expires(store: Store) -> None:
    late, early, patient = store.queued(wait_s=60), store.queued(wait_s=60), store.queued()
    store.set(late.id, "expires_at = now() - interval '1 ms'")

    assert [each.job_id for each in store.do(upkeep.reap_expired)] == [late.id]
    assert store.events(late.id)[-1] == (2, "expired", 0)
    assert {store.state(job.id) for job in (early, patient)} == {JobState.QUEUED}


def test_a_working_job_does_not_expire(store: Store) -> None:
    claim = store.working(wait_s=60)
    store.set(claim.job_id, "expires_at = now() - interval '1 ms'")

    assert store.do(upkeep.reap_expired) == []


def test_a_job_that_the_reaper_ended_has_a_newer_fence_than_any_run(store: Store) -> None:
    job = store.queued(wait_s=60)
    store.set(job.id, "expires_at = now() - interval '1 ms'")

    (reaped,) = store.do(upkeep.reap_expired)

    assert reaped.fence == store.row(job.id)["fence"] == 1


@pytest.mark.parametrize(("silent_s", "forgotten"), [(3599, 0), (3601, 1)])
def test_a_web_process_is_forgotten_when_it_was_silent_for_long(
    store: Store, silent_s: float, forgotten: int
) -> None:
    web_id = store.web()
    store.silence(web_id, silent_s)

    assert store.do(targets.forget_webs, silence_s=3600) == forgotten


def test_a_heartbeat_ends_a_silence(store: Store) -> None:
    web_id = store.web()
    store.silence(web_id, 9999)
    store.do(targets.register_web, web_id, host="host", pid=1)

    assert store.do(targets.forget_webs, silence_s=3600) == 0
    assert store.do(targets.forget_webs, silence_s=3600) == 0


def test_an_unknown_web_process_may_end(store: Store) -> None:
    store.web()

    store.do(targets.unregister_web, new_id())

    assert len(store.sql("SELECT id FROM web_processes")) == 1
