"""Cancel, retry, events, waiting: what a caller sees of a job that moves."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from operator import methodcaller
from uuid import UUID

import pytest

from foreman.core.queues import JobClass
from foreman.core.states import JobState, Source
from foreman.ids import new_id
from foreman.store import jobs, runs
from tests.factories import failure
from tests.integration.api.ground import Caller, Reply, ask, problem_of
from tests.integration.store.ground import Store, race


def finish(store: Store, job_id: UUID, state: JobState = JobState.SUCCEEDED) -> None:
    claim = store.claim(job_id)
    assert claim
    cut = replace(failure("boom", code="target_cut"), is_permanent=False)
    told = None if state is JobState.SUCCEEDED else cut
    assert store.do(runs.finish_run, job_id, claim.fence, state, status=200, failure=told)


def test_a_queued_job_that_is_cancelled_ends_at_once(caller: Caller) -> None:
    job_id = caller.submit()

    answer = caller.post(f"/jobs/{job_id}/cancel")

    assert (answer.status_code, answer.json["state"]) == (202, "cancelled")
    assert answer.json["cancelled_at"] == answer.json["ended_at"]


def test_a_working_job_that_is_cancelled_is_asked_to_stop(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    store.claim(job_id)

    answers = [caller.post(f"/jobs/{job_id}/cancel") for _ in range(2)]

    assert [(each.status_code, each.json["state"]) for each in answers] == [(202, "working")] * 2
    asked_at = {each.json["cancel_requested_at"] for each in answers}
    assert len(asked_at) == 1
    assert None not in asked_at


def test_a_cancelled_job_may_be_cancelled_again(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    caller.post(f"/jobs/{job_id}/cancel")

    assert caller.post(f"/jobs/{job_id}/cancel").status_code == 202
    assert [state for _, state, _ in store.events(job_id)] == ["queued", "cancelled"]


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_job_that_ended_otherwise_cannot_be_cancelled(
    caller: Caller, store: Store, end: JobState
) -> None:
    job_id = caller.submit()
    finish(store, job_id, end)

    assert problem_of(caller.post(f"/jobs/{job_id}/cancel"))[:2] == (409, "already_ended")
    assert caller.job(job_id)["state"] == end


@pytest.mark.parametrize("job_id", ["01890000-0000-7000-8000-00000000dead", "no-id", "%00"])
@pytest.mark.parametrize("path", ["", "/result", "/artifacts", "/artifacts/x", "/events"])
def test_an_unknown_job_is_a_problem(caller: Caller, job_id: str, path: str) -> None:
    assert problem_of(caller.get(f"/jobs/{job_id}{path}"))[:2] == (404, "job_unknown")


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_nothing_can_be_done_with_an_unknown_job(caller: Caller, verb: str) -> None:
    assert problem_of(caller.post(f"/jobs/{new_id()}/{verb}"))[:2] == (404, "job_unknown")


def test_a_retry_is_a_new_job_with_the_same_request(caller: Caller, store: Store) -> None:
    old_id = caller.submit(
        priority="interactive", metadata={"a": 1}, ttl_seconds=60, artifacts=["stream"]
    )
    finish(store, old_id, JobState.FAILED)
    before = store.row(old_id)

    answer = caller.post(f"/jobs/{old_id}/retry")

    assert answer.status_code == 202
    new_row = store.row(UUID(answer.json["id"]))
    assert answer.json["retry_of"] == str(old_id)
    assert answer.headers["Location"] == f"/jobs/{new_row['id']}"
    same = ("endpoint", "model", "queue", "job_class", "metadata", "max_attempts", "keeps_stream")
    assert [new_row[name] for name in same] == [before[name] for name in same]
    assert (new_row["state"], new_row["attempt"], new_row["fence"]) == ("queued", 0, 0)
    assert (new_row["expires_at"] - new_row["created_at"]).total_seconds() == 60
    assert store.row(old_id) == before
    bodies = store.sql("SELECT DISTINCT body FROM payloads")
    assert len(bodies) == 1


def test_a_job_that_has_not_ended_cannot_be_tried_again(caller: Caller) -> None:
    answer = caller.post(f"/jobs/{caller.submit()}/retry")

    assert problem_of(answer)[:2] == (409, "not_ended")


def test_a_synchronous_job_cannot_be_tried_again(caller: Caller, store: Store) -> None:
    claim = store.working(source=Source.SYNC)
    store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED)

    answer = caller.post(f"/jobs/{claim.job_id}/retry")

    assert problem_of(answer)[:2] == (409, "not_retryable")


def test_a_job_whose_request_was_removed_cannot_be_tried_again(
    caller: Caller, store: Store
) -> None:
    job_id = caller.submit()
    finish(store, job_id)
    store.sql("DELETE FROM payloads")

    assert problem_of(caller.post(f"/jobs/{job_id}/retry"))[:2] == (409, "not_retryable")
    assert len(store.sql("SELECT id FROM jobs")) == 1


def test_the_events_of_a_job_are_its_transitions_in_order(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    finish(store, job_id, JobState.FAILED)

    page = caller.get(f"/jobs/{job_id}/events").json

    assert [(each["seq"], each["state"], each["reason"]) for each in page["data"]] == [
        (1, "queued", None),
        (2, "working", None),
        (3, "failed", "target_cut"),
    ]
    assert (page["last_seq"], page["has_ended"]) == (3, True)
    later = caller.get(f"/jobs/{job_id}/events?after_seq=2").json
    assert [each["seq"] for each in later["data"]] == [3]


def test_a_failed_job_tells_its_error(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    finish(store, job_id, JobState.FAILED)

    job = caller.job(job_id)

    assert job["error"] == {"type": "target_cut", "message": "boom", "retryable": True}
    assert job["failed_at"] == job["ended_at"] is not None
    assert job["succeeded_at"] is None


class Waiting:
    """A request that waits in a thread of its own."""

    def __init__(self, caller: Caller, call: Callable[[Caller], Reply]) -> None:
        self._threads = ThreadPoolExecutor(1)
        self._answer: Future[Reply] = self._threads.submit(call, Caller(caller.app))

    @property
    def is_waiting(self) -> bool:
        return not self._answer.done()

    def answer(self) -> Reply:
        answer = self._answer.result(10)
        self._threads.shutdown()
        return answer


def watchers() -> int:
    return sum(thread.name == "watcher" for thread in threading.enumerate())


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def test_events_that_are_waited_for_come_when_the_job_moves(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    path = f"/jobs/{job_id}/events?after_seq=1&wait=30"
    waiting = Waiting(caller, lambda one: one.get(path))
    wait_until(lambda: watchers() > 0)

    assert waiting.is_waiting
    store.claim(job_id)

    page = waiting.answer().json
    assert [each["state"] for each in page["data"]] == ["working"]
    assert page["has_ended"] is False


def test_events_that_do_not_come_are_an_empty_page(caller: Caller) -> None:
    page = caller.get(f"/jobs/{caller.submit()}/events?after_seq=1&wait=0.05").json

    assert (page["data"], page["last_seq"], page["has_ended"]) == ([], 1, False)


def test_nobody_waits_for_an_event_after_the_end(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    finish(store, job_id)

    page = caller.get(f"/jobs/{job_id}/events?after_seq=3&wait=60").json

    assert (page["data"], page["has_ended"]) == ([], True)


def test_a_caller_that_prefers_to_wait_gets_the_ended_job(caller: Caller, store: Store) -> None:
    waiting = Waiting(caller, lambda one: one.post("/jobs", ask(), Prefer="wait=30"))
    wait_until(lambda: len(store.sql("SELECT id FROM jobs")) == 1)

    finish(store, store.sql("SELECT id FROM jobs")[0]["id"])

    answer = waiting.answer()
    assert (answer.status_code, answer.json["state"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_a_wait_that_is_too_short_ends_with_the_job_as_it_is(caller: Caller) -> None:
    answer = caller.post("/jobs", ask(), Prefer="respond-async, wait=0")

    assert (answer.status_code, answer.json["state"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=0"


def test_many_waiters_need_one_thread_and_no_connection_each(caller: Caller, store: Store) -> None:
    def wait_for_end(job_id: UUID) -> Waiting:
        path = f"/jobs/{job_id}/events?after_seq=1&wait=30"
        return Waiting(caller, methodcaller("get", path))

    wait_until(lambda: watchers() == 0)  # of the tests before
    first, *others = [caller.submit(priority=JobClass.INTERACTIVE) for _ in range(41)]
    longest = wait_for_end(first)
    wait_until(lambda: watchers() == 1)
    waiting = [wait_for_end(job_id) for job_id in others]

    for job_id in others:
        store.do(jobs.cancel_job, job_id, reason="asked")

    assert watchers() == 1
    assert [each.answer().json["has_ended"] for each in waiting] == [True] * 40
    store.do(jobs.cancel_job, first, reason="asked")
    assert longest.answer().json["has_ended"] is True
    wait_until(lambda: watchers() == 0)


def test_a_retry_with_a_key_makes_one_job_however_often_it_comes(
    caller: Caller, store: Store
) -> None:
    old_id, other_id = caller.submit(), caller.submit()
    finish(store, old_id, JobState.FAILED)
    finish(store, other_id, JobState.FAILED)

    def again(job_id: UUID = old_id) -> Reply:
        return caller.post(f"/jobs/{job_id}/retry", Idempotency_Key="again-1")

    first = again()
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (202, None)
    store.sql("DELETE FROM payloads WHERE job_id = :id", id=old_id)  # a repeat is not judged anew
    repeats = [again(), again()]

    assert {each.json["id"] for each in repeats} == {first.json["id"]}
    assert {each.headers["Idempotent-Replayed"] for each in repeats} == {"true"}
    assert problem_of(again(other_id)) == (422, "idempotency_key_reused", "Idempotency-Key")
    taken = caller.post("/jobs", ask(), Idempotency_Key="again-1")
    assert problem_of(taken)[1] == "idempotency_key_reused"
    assert len(store.sql("SELECT id FROM jobs")) == 3


def test_retries_that_race_with_one_key_make_one_job(caller: Caller, store: Store) -> None:
    old_id = caller.submit()
    finish(store, old_id, JobState.FAILED)

    def again() -> str:
        answer = Caller(caller.app).post(f"/jobs/{old_id}/retry", Idempotency_Key="again-2")
        return str(answer.json["id"])

    assert len(set(race(*[again] * 6))) == 1
    assert len(store.sql("SELECT id FROM jobs")) == 2
