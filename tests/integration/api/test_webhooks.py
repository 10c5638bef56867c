"""Webhooks of jobs: who is told, by which secret, and the ledger of what was sent."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from foreman.core.states import DeliveryState
from foreman.runtime import WebRuntime
from foreman.store import deliveries
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store, race

URL = "https://receiver.example/hook"
SECRET = "whsec_" + "A" * 32


def with_hook(caller: Caller, **more: Any) -> str:
    answer = caller.post("/jobs", ask(webhook={"url": URL, **more}))
    assert answer.status_code == 202, answer.text
    return str(answer.json["id"])


def fail(store: Store, delivery_id: str) -> None:
    store.sql(
        "UPDATE deliveries SET state = 'failed', ended_at = now() WHERE id = :id", id=delivery_id
    )


def test_a_job_with_a_hook_owes_its_events_from_the_first(caller: Caller) -> None:
    job_id = with_hook(caller)
    caller.post(f"/jobs/{job_id}/cancel")

    ledger = caller.get(f"/jobs/{job_id}/deliveries").json["data"]

    assert [(each["seq"], each["type"]) for each in ledger] == [
        (1, "job.queued"), (2, "job.cancelled"),
    ]  # fmt: skip
    assert {(each["url"], each["state"], len(each["attempts"])) for each in ledger} == {
        (URL, "pending", 0)
    }


def test_only_the_events_that_were_asked_for_are_owed(caller: Caller) -> None:
    job_id = with_hook(caller, events=["job.cancelled"])
    caller.post(f"/jobs/{job_id}/cancel")

    ledger = caller.get(f"/jobs/{job_id}/deliveries").json["data"]

    assert [each["type"] for each in ledger] == ["job.cancelled"]


def test_a_secret_that_is_made_here_is_shown_to_its_request_and_the_repeats(
    caller: Caller, runtime: WebRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = replace(runtime.settings, secret_keys=(Fernet.generate_key().decode(),))
    monkeypatch.setattr(runtime, "settings", sealed)
    made = caller.post("/jobs", ask(webhook={"url": URL}), Idempotency_Key="k").json
    again = caller.post("/jobs", ask(webhook={"url": URL}), Idempotency_Key="k").json

    assert made["webhook_secret"].startswith("whsec_")
    assert (again["id"], again["webhook_secret"]) == (made["id"], made["webhook_secret"])
    assert made["webhook_secret"] not in caller.get(f"/jobs/{made['id']}").text


def test_a_secret_of_the_callers_own_is_never_shown(caller: Caller) -> None:
    body = ask(webhook={"url": URL, "secret": SECRET})

    answers = [caller.post("/jobs", body, Idempotency_Key="k") for _ in range(2)]

    assert [SECRET in each.text for each in answers] == [False, False]


def test_a_repeat_whose_secret_no_key_opens_is_answered_without_it(
    caller: Caller, store: Store
) -> None:
    made = caller.post("/jobs", ask(webhook={"url": URL}), Idempotency_Key="k").json
    store.sql("UPDATE hooks SET secrets = ARRAY['fernet:x']")

    again = caller.post("/jobs", ask(webhook={"url": URL}), Idempotency_Key="k").json

    assert (again["id"], again["webhook_secret"]) == (made["id"], None)


def test_all_that_race_for_a_key_are_shown_the_one_secret(caller: Caller) -> None:
    body = ask(webhook={"url": URL})

    answers = race(*[lambda: Caller(caller.app).post("/jobs", body, Idempotency_Key="k")] * 10)

    assert {each.status_code for each in answers} == {202}
    assert len({each.json["webhook_secret"] for each in answers}) == 1


def test_the_repeat_of_a_batch_is_shown_its_secrets_again(caller: Caller) -> None:
    body = caller.app.json.dumps(ask(webhook={"url": URL})).encode()

    first, again = (caller.post("/jobs/batch", body, Idempotency_Key="k").data for _ in range(2))

    assert b"whsec_" in first
    assert again == first


@pytest.mark.parametrize(
    ("webhook", "code", "field"),
    [
        ({"url": "http://127.0.0.1/hook"}, "webhook_refused", "webhook.url"),
        ({"url": "http://169.254.169.254/"}, "webhook_refused", "webhook.url"),
        ({"url": "https://receiver.example:22/"}, "webhook_refused", "webhook.url"),
        ({"url": URL, "secret": "whsec_AAAA"}, "webhook_refused", "webhook.secret"),
        ({"url": "ftp://receiver.example/"}, "invalid", "webhook.url"),
        ({"url": URL, "events": []}, "invalid", "webhook.events"),
        ({"url": URL, "events": ["job.done"]}, "invalid", "webhook.events.0"),
        ({}, "invalid", "webhook.url"),
    ],
)
def test_a_hook_that_cannot_be_used_refuses_the_job(
    caller: Caller, store: Store, webhook: dict[str, Any], code: str, field: str
) -> None:
    assert problem_of(caller.post("/jobs", ask(webhook=webhook))) == (422, code, field)
    assert store.sql("SELECT id FROM jobs") == []


def test_a_line_of_a_batch_may_have_a_hook(caller: Caller, store: Store) -> None:
    lines = [ask(), ask(webhook={"url": URL}), ask(webhook={"url": "http://10.0.0.1/"})]
    body = b"\n".join(caller.app.json.dumps(line).encode() for line in lines)

    answers = [
        caller.app.json.loads(line) for line in caller.post("/jobs/batch", body).data.splitlines()
    ]

    assert [each["status"] for each in answers] == [202, 202, 422]
    assert "webhook_secret" not in answers[0]
    assert answers[1]["webhook_secret"].startswith("whsec_")
    assert [str(row["job_id"]) for row in store.sql("SELECT job_id FROM hooks")] == [
        answers[1]["id"]
    ]


def test_a_retry_tells_the_same_receiver_by_the_same_secret(caller: Caller, store: Store) -> None:
    job_id = with_hook(caller, secret=SECRET)
    caller.post(f"/jobs/{job_id}/cancel")

    again = caller.post(f"/jobs/{job_id}/retry").json["id"]

    assert [each["type"] for each in caller.get(f"/jobs/{again}/deliveries").json["data"]] == [
        "job.queued"
    ]
    hooks = store.sql("SELECT url, events, secrets FROM hooks")
    assert hooks[0] == hooks[1]


def test_a_race_for_a_key_makes_one_hook(caller: Caller, store: Store) -> None:
    for _ in range(2):
        caller.post("/jobs", ask(webhook={"url": URL}), Idempotency_Key="k")

    assert len(store.sql("SELECT job_id FROM hooks")) == 1
    assert len(store.sql("SELECT id FROM deliveries")) == 1


def test_a_delivery_is_due_again_when_somebody_asks(caller: Caller, store: Store) -> None:
    job_id = with_hook(caller)
    delivery_id = caller.get(f"/jobs/{job_id}/deliveries").json["data"][0]["id"]
    fail(store, delivery_id)

    answer = caller.post(f"/deliveries/{delivery_id}/redeliver")

    assert (answer.status_code, answer.json["id"], answer.json["state"]) == (
        202, delivery_id, "pending",
    )  # fmt: skip


@pytest.mark.parametrize("delivery_id", ["01890000-0000-7000-8000-00000000dead", "no-id"])
def test_an_unknown_delivery_is_a_problem(caller: Caller, delivery_id: str) -> None:
    answer = caller.post(f"/deliveries/{delivery_id}/redeliver")

    assert problem_of(answer)[:2] == (404, "delivery_unknown")


def test_the_deliveries_of_a_time_are_sent_once_more(caller: Caller, store: Store) -> None:
    for _ in range(3):
        with_hook(caller)
    first, second, _ = (each["id"] for each in caller.get("/deliveries").json["data"])
    fail(store, first)
    fail(store, second)

    asked = {"since": "2020-01-01T00:00:00Z", "state": "failed"}
    answer = caller.post("/deliveries/replay", asked)

    assert (answer.status_code, answer.json) == (
        202, {"count": 2, "has_more": False, "next": None},
    )  # fmt: skip
    assert caller.get("/deliveries?state=failed").json["data"] == []


def test_a_replay_is_followed_to_its_end(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "REPLAY_BATCH", 1)
    monkeypatch.setattr(deliveries, "REPLAY_LIMIT", 2)
    for _ in range(5):
        with_hook(caller)

    body: dict[str, Any] = {"since": "2020-01-01T00:00:00Z"}
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["has_more"]:
        assert len(answers) < 5
        answers.append(caller.post("/deliveries/replay", body).json)
        body["after"] = answers[-1]["next"]

    assert [each["count"] for each in answers] == [2, 2, 1]


def test_a_replay_says_first_how_many_it_will_send(
    caller: Caller, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "REPLAY_LIMIT", 2)
    monkeypatch.setattr(deliveries, "REPLAY_BATCH", 1)
    for _ in range(3):
        with_hook(caller)
    with_hook(caller)
    fail(store, caller.get("/deliveries").json["data"][0]["id"])
    store.sql("UPDATE deliveries SET next_at = now() + interval '1 hour'")
    before = store.sql("SELECT * FROM deliveries ORDER BY id")

    asked: dict[str, Any] = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    all_of_them = caller.post("/deliveries/replay", asked | {"dry_run": True})
    failed = caller.post("/deliveries/replay", asked | {"dry_run": True, "state": "failed"})

    assert (all_of_them.status_code, all_of_them.json) == (200, {"count": 4, "dry_run": True})
    assert failed.json == {"count": 1, "dry_run": True}
    assert store.sql("SELECT * FROM deliveries ORDER BY id") == before

    first = caller.post("/deliveries/replay", asked).json
    rest = {"dry_run": True, "after": first["next"]}
    assert (first["count"], caller.post("/deliveries/replay", asked | rest).json["count"]) == (2, 2)


def test_a_replay_after_nothing_that_was_told_is_refused(caller: Caller) -> None:
    asked = {"since": "2020-01-01T00:00:00Z", "after": "x"}

    assert problem_of(caller.post("/deliveries/replay", asked)) == (422, "invalid", "after")


def test_a_secret_is_changed_and_both_sign_for_a_time(caller: Caller, store: Store) -> None:
    job_id = with_hook(caller, secret=SECRET)

    answer = caller.post(f"/jobs/{job_id}/webhook/rotate")

    new = answer.json["webhook_secret"]
    assert (answer.status_code, answer.json["overlap_seconds"]) == (200, 86400)
    assert new.startswith("whsec_")
    (hook,) = store.sql("SELECT secrets, old_secrets_until - now() AS overlap FROM hooks")
    assert hook["secrets"] == [new, SECRET]
    assert 86300 < hook["overlap"].total_seconds() <= 86400


def test_a_secret_may_be_brought_and_the_old_one_may_end_at_once(
    caller: Caller, store: Store
) -> None:
    job_id = with_hook(caller)
    body = {"secret": SECRET, "overlap_seconds": 0}

    answer = caller.post(f"/jobs/{job_id}/webhook/rotate", body)

    assert answer.json == {"webhook_secret": SECRET, "overlap_seconds": 0}
    (hook,) = store.sql("SELECT secrets[1] AS first, old_secrets_until <= now() AS over FROM hooks")
    assert hook == {"first": SECRET, "over": True}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"secret": "whsec_AAAA"}, "webhook_refused", "secret"),
        ({"secret": "short"}, "invalid", "secret"),
        ({"overlap_seconds": -1}, "invalid", "overlap_seconds"),
        ({"more": 1}, "invalid", "more"),
    ],
)
def test_a_secret_that_cannot_be_is_refused(
    caller: Caller, store: Store, body: Any, code: str, field: str
) -> None:
    job_id = with_hook(caller, secret=SECRET)

    answer = caller.post(f"/jobs/{job_id}/webhook/rotate", body)

    assert problem_of(answer) == (422, code, field)
    assert store.sql("SELECT secrets FROM hooks") == [{"secrets": [SECRET]}]


@pytest.mark.parametrize("path", ["/deliveries/replay", "/jobs/{id}/webhook/rotate"])
def test_a_body_of_many_values_is_refused_before_any_is_built(caller: Caller, path: str) -> None:
    path = path.format(id=with_hook(caller))

    answer = caller.post(path, {"more": [[]] * 40_000})

    assert problem_of(answer) == (413, "body_too_large", None)


def test_a_job_without_a_hook_has_no_secret_to_change(caller: Caller) -> None:
    without = caller.post(f"/jobs/{caller.submit()}/webhook/rotate")
    unknown = caller.post("/jobs/01890000-0000-7000-8000-00000000dead/webhook/rotate")

    assert problem_of(without)[:2] == (404, "webhook_unknown")
    assert problem_of(unknown)[:2] == (404, "job_unknown")


def test_deliveries_are_listed_by_pages_newest_first(caller: Caller) -> None:
    ids = [with_hook(caller) for _ in range(3)]

    page = caller.get("/deliveries?limit=2").json
    rest = caller.get(f"/deliveries?limit=2&after={page['next']}").json

    assert [each["job_id"] for each in page["data"] + rest["data"]] == ids[::-1]
    assert (page["has_more"], rest["has_more"], rest["next"]) == (True, False, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2020-01-01T00:00:00"}, "since"),
        ({"since": "2020-01-01T00:00:00Z", "state": "lost"}, "state"),
        ({"since": "2020-01-01T00:00:00Z", "more": 1}, "more"),
    ],
)
def test_a_replay_of_no_time_is_refused(caller: Caller, body: Any, field: str) -> None:
    assert problem_of(caller.post("/deliveries/replay", body)) == (422, "invalid", field)


def test_every_state_of_a_delivery_is_a_filter(caller: Caller, store: Store) -> None:
    job_id = UUID(with_hook(caller))

    for state in DeliveryState:
        store.sql("UPDATE deliveries SET state = :s WHERE job_id = :id", s=state, id=job_id)
        assert len(caller.get(f"/deliveries?state={state}").json["data"]) == 1
