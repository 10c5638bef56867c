"""`/queues` and `/swaps`: what waits, what may be expected, and what draining has saved."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from foreman.api.queues import STALE_AFTER_S
from foreman.core.lease import Lease
from foreman.core.queues import JobClass
from foreman.core.residents import LoadRow, ResidentRow
from foreman.core.states import JobState
from foreman.runtime import WebRuntime
from foreman.scheduling.room import Clash, Room
from foreman.services.outlook import look_ahead, read_facts
from foreman.store import residents, runs
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store

A, B = "model.chain-a%3Alatest", "model.chain-b%3Alatest"
C = "model.chain-c%3Alatest"


def serve(store: Store, *queues: str, cost_s: float = 4.0, lease: Lease | None = None) -> Lease:
    """A worker leases the target and loads these residencies, the last one just now."""
    if lease is None:
        store.declare("gpu")
        store.sql("UPDATE targets SET lease_until = NULL")
        lease = store.lease("gpu", lease_s=60)
    line = LoadRow(
        queue=queues[-1],
        model="m",
        unloaded=(C,),
        reason="drained",
        cost_s=cost_s,
        was_loaded=False,
        head_wait_s=1.5,
        jobs_served=3,
        lingers=4,
        lingers_answered=3,
        linger_wasted_s=2.5,
    )
    with store.database.transaction() as connection:
        rows = [ResidentRow(queue, "m", 5, is_pinned=False) for queue in queues]
        residents.tell_residents(connection, lease, rows)
        residents.record_load(connection, lease, line)
    return lease


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

    assert caller.get("/queues").json["data"] == []


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
    # Two runs of 2 s on one slot, then a load of 4 s.
    assert first["starts_p50_s"] == pytest.approx(8, abs=0.5)
    assert first["starts_p90_s"] > 8
    assert first["why"] == "gpu: it is next, once there is room for it"
    # 10 s are left of 30; a turn of two loads, a dwell of at most 80 loads and a run; its load.
    assert first["bound_s"] == {"interactive": pytest.approx(10 + (8 + 320 + 1800) + 4, abs=1)}
    assert second["bound_s"] == {}  # it is loaded


def test_the_promise_to_a_job_does_not_grow_while_it_waits(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    lease = serve(store, A)
    store.queued(queue=B, model="chain-b:latest")
    look(runtime)
    (before,) = [each for each in caller.get("/queues").json["data"] if each["queue"] == B]

    serve(store, A, cost_s=400.0, lease=lease)  # from now on a load takes far longer
    look(runtime)
    (after,) = [each for each in caller.get("/queues").json["data"] if each["queue"] == B]

    assert after["swap_s"]["gpu"] > before["swap_s"]["gpu"] + 100
    assert after["bound_s"]["interactive"] <= before["bound_s"]["interactive"]


def test_a_target_tells_what_it_has_loaded_and_what_it_has_room_for(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    lease = serve(store, A, B)
    room = Room(sizes={A: 5, B: 6}, seen_count=2, seen_bytes=11, clashes=(Clash(3, 20),))
    with store.database.transaction() as connection:
        residents.tell_loading(connection, lease, C, reason="it fits next to what is loaded")
        residents.save_room(connection, lease, room)
    look(runtime)

    (target,) = caller.get("/queues").json["targets"]

    assert (target["name"], target["is_live"], target["sick_reason"]) == ("gpu", True, None)
    assert [(each["queue"], each["size_bytes"]) for each in target["residents"]] == [(A, 5), (B, 5)]
    assert [(each["queue"], each["model"]) for each in target["loading"]] == [(C, "chain-c:latest")]
    assert target["reason"] == "it fits next to what is loaded"
    assert target["room"] == {
        "residents": None,
        "memory_bytes": None,
        "sizes": {A: 5, B: 6},
        "fits": {"residents": 2, "size_bytes": 11},
        "clashes": [{"residents": 3, "size_bytes": 20}],
    }
    assert target["lingers"] == {"ended": 4, "answered": 3, "wasted_s": 2.5}


def test_readiness_names_what_is_loaded(caller: Caller, store: Store, runtime: WebRuntime) -> None:
    serve(store, A)
    look(runtime)

    assert caller.get("/readyz").json["residents"] == {"gpu": ["m"]}


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
        serve(store, queue)
    store.sql("UPDATE swaps SET unloaded = NULL, from_queue = 'model.old'"
              " WHERE id = (SELECT min(id) FROM swaps)")  # fmt: skip

    page = caller.get("/swaps?limit=2").json
    rest = caller.get(f"/swaps?limit=2&after={page['next']}").json

    assert [swap["to_queue"] for swap in page["data"]] == [A, B]
    assert page["has_more"]
    assert page["data"][0]["unloaded"] == [C]
    assert page["data"][0]["lingers_answered"] == 3
    # A line of the version with one resident.
    assert [swap["unloaded"] for swap in rest["data"]] == [["model.old"]]
    assert not rest["has_more"]
    assert rest["next"] is None


def test_loads_are_compared_with_first_in_first_out_over_the_same_jobs(
    caller: Caller, store: Store
) -> None:
    for queue in (A, B, A, A, B):
        ended(store, queue, took_s=1)
    store.queued(queue=C)  # not served yet
    store.sql("UPDATE jobs SET created_at = now() - interval '1 minute' + id_row * interval '1 s'"
              " FROM (SELECT id AS which, row_number() OVER (ORDER BY created_at, id) AS id_row"
              "       FROM jobs) numbered WHERE which = id")  # fmt: skip
    for queue in (A, B):
        serve(store, queue, cost_s=4.0)

    # A, B, A, B: four loads of 4 s, and two were made.
    assert caller.get("/swaps").json["totals"] == {
        "jobs": 5, "swaps": 2, "swaps_avoided": 2, "gpu_seconds_saved": 8.0,
    }  # fmt: skip


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
