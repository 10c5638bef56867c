"""`Idempotency-Key`: one key, one request, one job, whatever the network does."""

from uuid import UUID

from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store, race

THREADS = 20


def test_the_same_key_with_the_same_request_is_the_same_job(caller: Caller, store: Store) -> None:
    body = ask(metadata={"a": 1, "b": 2})
    first = caller.post("/jobs", body, Idempotency_Key="k1")

    again = caller.post("/jobs", dict(reversed(body.items())), Idempotency_Key="k1")

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert len(store.sql("SELECT id FROM jobs")) == 1


def test_a_replay_shows_the_job_as_it_is_now(caller: Caller) -> None:
    first = caller.post("/jobs", ask(), Idempotency_Key="k1")
    caller.post(f"/jobs/{first.json['id']}/cancel")

    again = caller.post("/jobs", ask(), Idempotency_Key="k1")

    assert (again.status_code, again.json["state"]) == (202, "cancelled")


def test_the_same_key_with_another_request_is_refused(caller: Caller, store: Store) -> None:
    caller.post("/jobs", ask(), Idempotency_Key="k1")

    for body, headers in (
        (ask(max_attempts=5), {}),
        (ask(), {"X_Foreman_Client": "bob"}),
        (ask(), {"X_Foreman_Target": "gpu"}),
    ):
        answer = caller.post("/jobs", body, Idempotency_Key="k1", **headers)
        assert problem_of(answer) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert len(store.sql("SELECT id FROM jobs")) == 1


def test_a_key_that_no_header_should_carry_is_refused(caller: Caller) -> None:
    for key in ("", "x" * 256, "caf\xe9"):
        answer = caller.post("/jobs", ask(), Idempotency_Key=key)
        assert problem_of(answer) == (422, "invalid", "Idempotency-Key")


def test_a_refused_request_does_not_take_the_key(caller: Caller) -> None:
    caller.post("/jobs", ask(max_attempts=0), Idempotency_Key="k1")

    assert caller.post("/jobs", ask(), Idempotency_Key="k1").status_code == 202


def test_a_race_for_a_key_makes_one_job(caller: Caller, store: Store) -> None:
    for number in range(10):
        key = f"race {number}"

        answers = race(
            *[lambda: Caller(caller.app).post("/jobs", ask(), Idempotency_Key=key)] * THREADS  # noqa: B023  # called before the next turn
        )

        assert {each.status_code for each in answers} == {202}
        assert len({each.json["id"] for each in answers}) == 1
        replayed = [each.headers.get("Idempotent-Replayed") for each in answers]
        assert replayed.count(None) == 1
    assert len(store.sql("SELECT id FROM jobs")) == 10
    assert len(store.sql("SELECT job_id FROM events")) == 10


def test_a_key_and_its_job_are_one_commit(caller: Caller, store: Store) -> None:
    answer = caller.post("/jobs", ask(), Idempotency_Key="k1")

    rows = store.sql("SELECT k.job_id FROM idempotency_keys k JOIN jobs j ON j.id = k.job_id")
    assert rows == [{"job_id": UUID(answer.json["id"])}]
