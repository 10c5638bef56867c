"""`/queues` and `/swaps`: what waits, what may be expected, and what draining has saved."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from foreman.api.queues import STALE_AFTER_S
from foreman.core.queues import JobClass
from foreman.core.states import JobState
from foreman.runtime import WebRuntime
from foreman.services.outlook import look_ahead, read_facts
from foreman.store import runs, swaps
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store

A, B = "model.chain-a%3Alatest", "model.chain-b%3Alatest"


def serve(store: Store, queue: str, *, cost_s: float = 4.0, fifo_swaps: int = 1) -> None:
    """A worker leases the target and brings a residency there."""
    store.declare("gpu")
    store.sql("UPDATE targets SET lease_until = NULL")
    lease = store.lease("gpu", lease_s=60)
    line = swaps.SwapRecord(
        to_queue=queue,
        model="m",
        reason="drained",
        jobs_served=3,
        cost_s=cost_s,
        was_loaded=False,
        head_wait_s=1.5,
        fifo_swaps=fifo_swaps,
        saved_s=fifo_swaps * cost_s - cost_s,
    )
    with store.database.transaction() as connection:
        swaps.record_swap(connection, lease, line)


def ended(store: Store, queue: str, *, took_s: float) -> None:
    claim = store.working(queue=queue)
    store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED, status=200)
    store.set(claim.job_id, f"working_at = ended_at - interval '{took_s} s'")


def look(runtime: WebRuntime) -> None:
    """What the periodic tasks of a web process do every second or so."""
    read_facts(runtime)
    look_ahead(runtime)


def test_without_work_there_is_no_queue(caller: Caller, runtime: WebRuntime) -> None:
    look(runtime)

    assert caller.get("/queues").json == {"data": []}


def test_a_queue_tells_who_waits_where_it_is_loaded_and_what_to_expect(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    serve(store, A)
    for _ in range(3):
        ended(store, A, took_s=2)
    store.queued(queue=A, model="chain-a:latest")
    store.queued(queue=A, model="chain-a:latest", job_class=JobClass.BATCH)
    other = store.queued(queue=B, model="chain-b:latest")
    store.set(other.id, "queued_at = now() - interval '20 s'")

    look(runtime)

    first, second = caller.get("/queues").json["data"]

    assert (first["queue"], second["queue"]) == (B, A)
    assert second["waiting"] == {"interactive": 1, "batch": 1}
    assert second["resident_on"] == ["gpu"]
    assert second["why"] == "gpu: it is being served"
    assert second["starts_p50_s"] == 0
    assert (second["run_p50_s"], second["run_p90_s"]) == pytest.approx((2, 2), abs=0.01)
    assert 20 <= first["oldest_wait_s"]["interactive"] < 40
    assert first["swap_s"] == {"gpu": 4}  # as the other's: none of its own was measured
    # Two runs of 2 s on one slot, then a swap of 4 s.
    assert first["starts_p50_s"] == pytest.approx(8, abs=0.5)
    assert A in first["why"]
    # 30 + 4 + (10 * 4 + 4 + 1800)
    assert first["bound_s"]["interactive"] == pytest.approx(1878)
    assert first["bound_s"]["batch"] == pytest.approx(2448)


def test_a_queue_whose_model_no_live_target_has_says_so(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    store.queued(queue="model.gone%3Alatest", model="gone:latest")

    look(runtime)

    (queue,) = caller.get("/queues").json["data"]

    assert queue["why"] == "no live target has its model"
    assert queue["starts_p50_s"] is None
    assert queue["bound_s"] == {}


def test_a_waiting_job_knows_its_place_and_when_it_starts(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    serve(store, A)
    ended(store, A, took_s=3)
    jobs = [caller.submit() for _ in range(3)]
    look(runtime)

    last = caller.job(jobs[-1])["queue"]

    assert last["position"] == 3
    assert last["eta_p50_s"] == pytest.approx(6, abs=0.5)


def test_swaps_are_listed_newest_first_page_by_page(caller: Caller, store: Store) -> None:
    for queue in (A, B, A):
        serve(store, queue, fifo_swaps=5)

    page = caller.get("/swaps?limit=2").json
    rest = caller.get(f"/swaps?limit=2&after={page['next']}").json

    assert [swap["to_queue"] for swap in page["data"]] == [A, B]
    assert page["has_more"]
    assert [swap["from_queue"] for swap in rest["data"]] == [None]
    assert not rest["has_more"]
    assert rest["next"] is None
    assert page["totals"] == {"swaps": 3, "swaps_avoided": 12, "gpu_seconds_saved": 48}


def test_a_picture_of_the_queues_that_is_old_is_not_shown_as_one_of_now(
    caller: Caller, runtime: WebRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(runtime)
    read_at = time.monotonic() - STALE_AFTER_S - 1
    monkeypatch.setattr(runtime, "queues", replace(runtime.queues, read_at=read_at))

    assert problem_of(caller.get("/queues"))[:2] == (503, "database_unavailable")


@pytest.mark.parametrize("path", ["/swaps?limit=0", "/swaps?after=x", "/queues?state=queued"])
def test_a_wrong_parameter_is_named(caller: Caller, path: str) -> None:
    status, code, field = problem_of(caller.get(path))

    assert (status, code) == (422, "invalid")
    assert field


def test_beyond_its_limit_a_queue_takes_no_more_and_says_when_to_come_back(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    serve(store, A)
    ended(store, A, took_s=3)
    read_facts(runtime)
    usual, runtime.settings = runtime.settings, replace(runtime.settings, max_queue=3)
    try:
        answers = [caller.post("/jobs", ask()) for _ in range(4)]
    finally:
        runtime.settings = usual

    assert [answer.status_code for answer in answers] == [202, 202, 202, 503]
    assert problem_of(answers[-1])[1] == "queue_full"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert "3 jobs wait for chain-a:latest" in answers[-1].json["detail"]


@pytest.fixture
def full(runtime: WebRuntime, store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and no further job may wait."""
    return lambda: monkeypatch.setattr(runtime, "settings", replace(runtime.settings, max_queue=0))


def test_a_repeat_is_answered_although_its_queue_is_full(
    caller: Caller, runtime: WebRuntime, full: Callable[[], None]
) -> None:
    first = caller.post("/jobs", ask(), Idempotency_Key="k")
    full()
    counted = runtime.room.total

    again = caller.post("/jobs", ask(), Idempotency_Key="k")
    other = caller.post("/jobs", ask(max_attempts=5), Idempotency_Key="k")

    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert problem_of(other)[:2] == (422, "idempotency_key_reused")
    assert runtime.room.total == counted


def test_a_batch_is_repeated_into_a_full_queue_and_its_new_lines_say_when_to_come_back(
    caller: Caller, runtime: WebRuntime, full: Callable[[], None]
) -> None:
    first, more = json.dumps(ask()).encode() + b"\n", json.dumps(ask(ttl_seconds=9)).encode()
    accepted = json.loads(caller.post("/jobs/batch", first, Idempotency_Key="k").data)
    full()
    counted = runtime.room.total

    answer = caller.post("/jobs/batch", first + more, Idempotency_Key="k")

    repeated, refused = (json.loads(line) for line in answer.data.splitlines())
    assert repeated == accepted
    assert (refused["status"], refused["error"]["type"]) == (503, "/docs#queue_full")
    assert refused["retry_after_s"] >= 1
    assert runtime.room.total == counted


def test_a_retry_waits_for_room_as_a_new_job_does(
    caller: Caller, store: Store, full: Callable[[], None]
) -> None:
    job_id = caller.submit()
    caller.post(f"/jobs/{job_id}/cancel")
    full()

    answer = caller.post(f"/jobs/{job_id}/retry")

    assert problem_of(answer)[:2] == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) >= 1
    assert len(store.sql("SELECT id FROM jobs")) == 1
