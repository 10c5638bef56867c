"""Whatever is done to jobs, in whatever order: no end is left, no event missing or doubled."""

from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from foreman.core.states import END_STATES, JobState, can_move
from foreman.ids import new_id
from foreman.store import accept, jobs, renewals, retry, runs
from foreman.store.runs import Claim
from tests.factories import accepted_job, failure
from tests.integration.store.ground import Store

MAX_ATTEMPTS = 2
ENDS = st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
KEYS = st.sampled_from([None, "a", "b"])


class Lives(RuleBasedStateMachine):
    """Jobs of both kinds, moved at random by callers, workers and the reaper."""

    store: Store
    ids: Bundle[UUID] = Bundle("ids")
    claims: Bundle[Claim | None] = Bundle("claims")

    @initialize()
    def begin(self) -> None:
        self.store.sql("TRUNCATE jobs CASCADE")
        self.ends: dict[UUID, str] = {}
        self.holders: dict[str, UUID] = {}

    @rule(target=ids)
    def wait_on_a_connection(self) -> UUID:
        return self.store.queued(max_attempts=MAX_ATTEMPTS).id

    @rule(target=ids, key=KEYS)
    def submit(self, key: str | None) -> UUID:
        proof = b"x" if key else None
        job = accepted_job(max_attempts=MAX_ATTEMPTS, key=key, fingerprint=proof)
        new = self.store.do(accept.insert_jobs, [job], is_published=True)
        if job.id in new:
            assert key not in self.holders
            if key:
                self.holders[key] = job.id
            return job.id
        assert key is not None
        assert self.store.do(accept.holders_of, [key])[key].job_id == self.holders[key]
        return self.holders[key]

    @rule(target=claims, job_id=ids)
    def claim(self, job_id: UUID) -> Claim | None:
        return self.store.claim(job_id)

    @rule(claim=claims, end=ENDS)
    def finish(self, claim: Claim | None, end: JobState) -> None:
        if claim is None:
            return
        told = None if end is JobState.SUCCEEDED else failure()
        row = self.store.row(claim.job_id)
        is_newest = row["state"] == "working" and row["fence"] == claim.fence
        ended = self.store.do(runs.finish_run, claim.job_id, claim.fence, end, failure=told)
        assert ended is is_newest

    @rule(claim=claims)
    def give_back(self, claim: Claim | None) -> None:
        if claim is not None:
            self.store.do(runs.give_back, claim.job_id, claim.fence, reason="stopping")

    @rule(claim=claims)
    def renew(self, claim: Claim | None) -> None:
        if claim is not None:
            held = {claim.job_id: claim.fence}
            self.store.do(renewals.renew_runs, held, lease_s=60.0, web_silence_s=30.0)

    @rule(job_id=ids)
    def cancel(self, job_id: UUID) -> None:
        assert self.store.do(jobs.cancel_job, job_id, reason="asked") is not None

    @rule(job_id=ids)
    def run_out_of_time(self, job_id: UUID) -> None:
        self.store.set(job_id, "expires_at = now() - interval '1 ms'")

    @rule(job_id=ids)
    def lose_the_worker(self, job_id: UUID) -> None:
        past = "now() - interval '1 ms'"
        self.store.set(job_id, f"lease_until = CASE WHEN state = 'working' THEN {past} END")

    @rule()
    def reap(self) -> None:
        self.store.reap()

    @rule(job_id=ids)
    def expire(self, job_id: UUID) -> None:
        self.store.do(jobs.expire_job, job_id)

    @rule(target=ids, job_id=ids)
    def retry(self, job_id: UUID) -> UUID:
        copy_id = new_id()
        before = self.store.row(job_id)
        copied = self.store.do(retry.copy_job, job_id, copy_id)
        assert copied is (before["state"] in END_STATES)
        assert self.store.row(job_id) == before
        return copy_id if copied else job_id

    @invariant()
    def histories_hold_together(self) -> None:
        for row in self.store.sql("SELECT * FROM jobs"):
            events = self.store.events(row["id"])
            assert_one_life(row, events)
            if row["state"] in END_STATES:
                assert self.ends.setdefault(row["id"], row["state"]) == row["state"]
            else:
                assert row["id"] not in self.ends


def assert_one_life(row: dict[str, Any], events: list[tuple[int, str, int]]) -> None:
    states = [JobState(state) for _, state, _ in events]
    assert [seq for seq, _, _ in events] == list(range(1, row["seq"] + 1))
    assert states[0] is JobState.QUEUED
    assert states[-1] == row["state"]
    assert all(can_move(old, new) for old, new in pairwise(states))
    assert sum(state in END_STATES for state in states) <= 1
    assert (row["ended_at"] is not None) is (row["state"] in END_STATES)
    assert row["attempt"] == states.count(JobState.WORKING) <= row["fence"]


def test_no_order_of_events_breaks_a_jobs_history(store: Store) -> None:
    Lives.store = store

    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            database=None,
            # A history of thirty moves can be read as it is; to shorten it takes minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
