"""Two at once: whatever the order, exactly one wins, and the row says which."""

from functools import partial

import pytest

from foreman.core.states import JobState
from foreman.ids import new_id
from foreman.store import jobs, runs, targets
from foreman.store.produced import Produced, keep_artifacts
from foreman.store.runs import Claim
from tests.integration.store.ground import LEASE_S, Store, race

ROUNDS = 25


def test_of_two_claims_exactly_one_wins(store: Store) -> None:
    for _ in range(ROUNDS):
        job_id = store.queued().id

        claims = race(
            partial(store.claim, job_id, worker="worker1"),
            partial(store.claim, job_id, worker="worker2"),
        )

        assert [claim is None for claim in claims].count(False) == 1
        assert [state for _, state, _ in store.events(job_id)] == ["queued", "working"]
        assert store.row(job_id)["fence"] == 1


def test_a_claim_and_a_cancel_agree_on_who_came_first(store: Store) -> None:
    for _ in range(ROUNDS):
        job_id = store.queued().id

        claim, told = race(
            partial(store.claim, job_id),
            partial(store.do, jobs.cancel_job, job_id, reason="client_left"),
        )

        row = store.row(job_id)
        if claim is None:
            assert (told, row["state"]) == (JobState.CANCELLED, "cancelled")
        else:
            # The worker learns of it: a cancel is never lost.
            assert (told, row["state"]) == (JobState.WORKING, "working")
            assert row["cancel_requested_at"] is not None


def test_a_finish_and_a_reaper_agree_on_the_end(store: Store) -> None:
    for _ in range(ROUNDS):
        claim = store.stalled(max_attempts=1)

        finished, reaped = race(
            partial(store.do, runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED),
            store.reap,
        )

        assert finished is not bool(reaped)
        end = "succeeded" if finished else "failed"
        assert [state for _, state, _ in store.events(claim.job_id)] == ["queued", "working", end]


def test_a_finish_a_cancel_and_a_reaper_agree_on_one_end(store: Store) -> None:
    result = Produced("response.json", "application/json", b"{}")
    for _ in range(ROUNDS):
        claim = store.stalled(max_attempts=1)

        def finish(claim: Claim = claim) -> bool:
            with store.database.transaction() as connection:
                has_ended = keep_artifacts(
                    connection, claim.job_id, claim.fence, [result]
                ) and runs.finish_run(connection, claim.job_id, claim.fence, JobState.SUCCEEDED)
                if not has_ended:
                    connection.rollback()
                return has_ended

        finished, told, reaped = race(
            finish, partial(store.do, jobs.cancel_job, claim.job_id, reason="asked"), store.reap
        )

        row = store.row(claim.job_id)
        ends = {"succeeded"} if finished else {"failed", "cancelled"}
        assert row["state"] in ends
        assert bool(reaped) is not finished
        assert told in (JobState.WORKING, row["state"])
        assert [state for _, state, _ in store.events(claim.job_id)] == [
            "queued", "working", row["state"],
        ]  # fmt: skip
        kept = store.sql("SELECT fence FROM artifacts WHERE job_id = :id", id=claim.job_id)
        assert kept == ([{"fence": claim.fence}] if finished else [])


def test_a_retry_and_a_cancel_agree_on_the_end(store: Store) -> None:
    for _ in range(ROUNDS):
        claim = store.working()
        fence = claim.fence

        given_back, told = race(
            partial(store.do, runs.give_back, claim.job_id, fence, reason="target_cut"),
            partial(store.do, jobs.cancel_job, claim.job_id, reason="asked"),
        )

        # Cancelled in the queue, or left to its worker, which cannot give it back any more.
        state = store.state(claim.job_id)
        assert (given_back, told, state) in (
            (True, JobState.CANCELLED, JobState.CANCELLED),
            (False, JobState.WORKING, JobState.WORKING),
        )


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_run_that_gave_its_job_back_cannot_end_it(store: Store, end: JobState) -> None:
    claim = store.working()
    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    assert not store.do(runs.finish_run, claim.job_id, claim.fence, end)

    assert store.state(claim.job_id) is JobState.QUEUED


def test_two_reapers_share_the_work_and_double_none(store: Store) -> None:
    stalled = {store.stalled().job_id for _ in range(ROUNDS)}

    reaped = race(store.reap, store.reap)

    ids = [each.job_id for one in reaped for each in one]
    assert len(ids) == len(set(ids)) == len(stalled)
    assert all(len(store.events(job_id)) == 3 for job_id in stalled)


def test_of_two_workers_exactly_one_gets_a_target(store: Store) -> None:
    for number in range(ROUNDS):
        name = f"gpu{number}"
        store.declare(name)

        leases = race(
            partial(store.acquire, name, worker="worker1"),
            partial(store.acquire, name, worker="worker2"),
        )

        assert [lease is None for lease in leases].count(False) == 1


@pytest.mark.parametrize("analyzed", [False, True])
def test_many_workers_take_a_target_each(store: Store, analyzed: bool) -> None:
    names = [f"gpu{number}" for number in range(8)]
    store.declare(*names)
    if analyzed:  # the planner may choose another way once it knows how small the table is
        store.sql("ANALYZE targets")

    leases = race(*(partial(store.acquire, *names, worker=name) for name in names))

    # Who met a row that another was taking goes round again, as a worker standing by does.
    taken = [lease.target for lease in leases if lease]
    while len(taken) < len(names):
        again = store.acquire(*names, worker="late")
        assert again
        taken.append(again.target)
    assert sorted(taken) == names
    assert {row["fence"] for row in store.sql("SELECT fence FROM targets")} == {1}


def test_many_heartbeats_of_a_new_web_process_are_one_row(store: Store) -> None:
    web_id = new_id()

    race(*[partial(store.do, targets.register_web, web_id, host="h", pid=1)] * 4)

    assert len(store.sql("SELECT id FROM web_processes")) == 1


def test_a_renewal_and_a_takeover_agree_on_who_holds_the_target(store: Store) -> None:
    store.declare("gpu")
    for _ in range(ROUNDS):
        old = store.lease("gpu", worker="old")
        store.sql("UPDATE targets SET lease_until = now() - interval '1 ms'")

        is_held, new = race(
            partial(store.do, targets.renew_lease, old, lease_s=LEASE_S),
            partial(store.acquire, "gpu", worker="new"),
        )

        assert is_held is (new is None)
        store.sql("UPDATE targets SET lease_until = NULL, worker = NULL")
