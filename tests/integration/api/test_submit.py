"""`POST /jobs`: what is accepted, what is refused, and with which words."""

import json
from typing import Any
from uuid import UUID

import pytest

from foreman.simulation.process import SimulationProcess
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store


def test_an_accepted_job_is_answered_whole_and_found_by_its_location(
    caller: Caller, store: Store
) -> None:
    answer = caller.post("/jobs", ask())

    assert answer.status_code == 202
    job = answer.json
    assert answer.headers["Location"] == job["urls"]["self"] == f"/jobs/{job['id']}"
    assert (job["state"], job["source"], job["priority"]) == ("queued", "async", "batch")
    assert (job["model"], job["attempt"], job["max_attempts"]) == ("chain-a:latest", 0, 3)
    shown = caller.job(job["id"])
    assert shown | {"queue": None, "webhook_secret": None} == job
    assert shown["queue"] == {"position": 1, "eta_p50_s": None, "eta_p90_s": None}


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_asked_for_is_what_the_row_says(caller: Caller, store: Store) -> None:
    request = {"model": "Chain-A", "prompt": "x", "stream": True, "options": {"num_ctx": 4096}}

    answer = caller.post(
        "/jobs",
        ask(
            endpoint="/api/generate",
            request=request,
            priority="interactive",
            ttl_seconds=60,
            deadline_seconds=90.5,
            max_attempts=7,
            metadata={"team": "blue", "n": 5},
            artifacts=["stream"],
        ),
        X_Foreman_Client="nightly",
        X_Foreman_Target="gpu",
        X_Request_Id="r-7",
        Traceparent=TRACE,
    )

    row = store.row(UUID(answer.json["id"]))
    assert (row["source"], row["job_class"], row["max_attempts"]) == ("async", "interactive", 7)
    assert (row["client"], row["pinned_target"], row["keeps_stream"]) == ("nightly", "gpu", True)
    assert (row["client_address"], row["request_id"]) == ("127.0.0.1", "r-7")
    assert row["traceparent"] == answer.json["traceparent"] == TRACE
    assert row["metadata"] == {"team": "blue", "n": 5}
    assert row["queue"].startswith("model.chain-a%3Alatest~")
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 60
    assert (row["deadline_at"] - row["created_at"]).total_seconds() == 90.5
    payload = store.sql("SELECT * FROM payloads")[0]
    assert json.loads(bytes(payload["body"])) == request
    assert payload["headers"] == [["Content-Type", "application/json"]]
    assert store.events(row["id"]) == [(1, "queued", 0)]


def test_two_jobs_of_one_residency_wait_in_one_line(caller: Caller) -> None:
    caller.submit()
    caller.submit(priority="interactive")

    last = caller.job(caller.submit())

    assert last["queue"]["position"] == 3


def test_an_interactive_job_stands_before_every_batch_job(caller: Caller) -> None:
    caller.submit()

    quick = caller.job(caller.submit(priority="interactive"))

    assert quick["queue"]["position"] == 1


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"endpoint": "/api/tags"}, 422, "invalid", "endpoint"),
        ({"surprise": 1}, 422, "invalid", "surprise"),
        ({"webhook": {"url": "http://x/", "more": 1}}, 422, "invalid", "webhook.more"),
        ({"request": []}, 422, "invalid", "request"),
        ({"request": {"prompt": "x"}}, 422, "invalid_model", "request.model"),
        ({"request": {"model": "a b"}}, 422, "invalid_model", "request.model"),
        ({"request": {"model": 5}}, 422, "invalid_model", "request.model"),
        ({"request": {"model": "x", "options": 1}}, 422, "invalid", "request.options"),
        (
            {"request": {"model": "x", "options": {"num_ctx": 1e30}}},
            422,
            "invalid",
            "request.options",
        ),
        ({"request": {"model": "big:cloud"}}, 422, "remote_model", "request.model"),
        ({"request": {"model": "not-here"}}, 422, "model_not_found", "request.model"),
        ({"ttl_seconds": 0}, 422, "invalid", "ttl_seconds"),
        ({"ttl_seconds": "60"}, 422, "invalid", "ttl_seconds"),
        ({"deadline_seconds": 1e12}, 422, "invalid", "deadline_seconds"),
        ({"max_attempts": 21}, 422, "invalid", "max_attempts"),
        ({"priority": "urgent"}, 422, "invalid", "priority"),
        ({"artifacts": ["other"]}, 422, "invalid", "artifacts.0"),
        ({"metadata": {"a": {"b": 1}}}, 422, "invalid", "metadata"),
        ({"metadata": {"a": "x" * 5000}}, 422, "invalid", "metadata"),
        ({"metadata": {"a\x00": "x"}}, 422, "invalid", "metadata"),
        ({"metadata": {"a": "\x00"}}, 422, "invalid", "metadata"),
    ],
)
def test_what_cannot_be_accepted_is_refused_and_named(
    caller: Caller, store: Store, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = caller.post("/jobs", ask(**changes))

    assert problem_of(answer) == (status, code, field)
    assert store.sql("SELECT id FROM jobs") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"endpoint": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"5", 422),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a","options":{"seed":1e999}}}', 422),
        (
            b'{"endpoint":"/api/chat","request":{"model":"chain-a","options":{"num_ctx":1e300}}}',
            422,
        ),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a","seed":NaN}}', 422),
        (b'{"endpoint":"/api/chat","request":{"model":"\\ud800"}}', 422),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a"},"metadata":{"a":"\\ud800"}}', 400),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a"}} x', 400),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a","messages":5}}', 422),
        (b'{"endpoint":"/api/chat","request":{"model":"chain-a","keep_alive":"soon"}}', 422),
        (
            b'{"endpoint":"/api/chat","request":{"model":"chain-a"},"m":"' + b"x" * 70_000 + b'"}',
            413,
        ),
        (b'{"a": "' + b"x" * 2**20 + b'"}', 413),
    ],
)
def test_a_body_that_is_no_job_is_a_problem(caller: Caller, body: bytes, status: int) -> None:
    assert problem_of(caller.post("/jobs", body))[0] == status


@pytest.mark.parametrize(
    "request_",
    [
        b'{"model":"chain-a","messages":[{"role":"user","content":"a\\ud83d b"}]}',
        b'{"model":"chain-a","messages":[{"role":"user","content":"a\xff b"}]}',
        b'{ "model" : "chain-a" , "seed" : 1e999 }',
        b'{"model":"chain-a","options":{"seed":1e300}}',
        b'{"MODEL":"chain-a","model":null,"x":%b}' % (b"9" * 5000),
        b'{"model":"chain-a","x":%b}' % (b"[" * 3000 + b"]" * 3000),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}])
def test_what_its_route_accepts_is_accepted_as_a_job_and_kept_byte_for_byte(
    caller: Caller, store: Store, request_: bytes, headers: dict[str, str]
) -> None:
    body = b'{"endpoint":"/api/chat", "request": %b , "max_attempts":2}' % request_

    answers = [caller.post("/jobs", body, **headers) for _ in range(2)]

    assert {each.status_code for each in answers} == {202}
    assert len({each.json["id"] for each in answers}) == (1 if headers else 2)
    stored = {bytes(row["body"]) for row in store.sql("SELECT body FROM payloads")}
    assert stored == {request_}


def test_the_last_request_of_several_counts(caller: Caller, store: Store) -> None:
    first, last = b'{"model":"not-here"}', b'{"model":"chain-a"}'
    body = b'{"request":%b,"endpoint":"/api/chat","request":%b}' % (first, last)

    assert caller.post("/jobs", body).status_code == 202
    assert [bytes(row["body"]) for row in store.sql("SELECT body FROM payloads")] == [last]


def test_a_long_request_is_the_same_only_byte_by_byte(caller: Caller) -> None:
    text = json.dumps(ask(request={"model": "chain-a", "prompt": "x" * 100_000}))

    def post(body: str) -> int:
        return caller.post("/jobs", body.encode(), Idempotency_Key="k").status_code

    assert [post(text), post(text), post(text.replace("chain-a", "chain-a "))] == [202, 202, 422]


def test_a_model_that_no_target_has_is_refused_in_the_targets_own_words(caller: Caller) -> None:
    answer = caller.post("/jobs", ask(request={"model": "Not-Here:1b", "prompt": "x"}))

    assert answer.json["detail"] == "target gpu: model 'not-here:1b' not found"


def test_a_target_that_does_not_exist_is_refused(caller: Caller) -> None:
    answer = caller.post("/jobs", ask(), X_Foreman_Target="moon")

    assert problem_of(answer) == (422, "invalid", "X-Foreman-Target")
    assert "gpu" in answer.json["detail"]


def test_a_name_of_a_caller_that_no_header_should_carry_is_refused(caller: Caller) -> None:
    answer = caller.post("/jobs", ask(), X_Foreman_Client="caf\xe9")

    assert problem_of(answer) == (422, "invalid", "X-Foreman-Client")


def test_an_unknown_parameter_is_refused(caller: Caller) -> None:
    assert problem_of(caller.post("/jobs?dry_run=1", ask())) == (422, "invalid", "dry_run")


def test_an_embedding_as_a_job_queues_too(caller: Caller, simulation: SimulationProcess) -> None:
    request = {"model": "chain-embed", "input": "sky"}

    job = caller.job(caller.submit(endpoint="/api/embed", request=request))

    assert (job["endpoint"], job["queue"]["position"]) == ("/api/embed", 1)


def test_the_six_characters_that_write_a_zero_character_are_none(caller: Caller) -> None:
    metadata = {"\\u0000": "C:\\u0000"}

    assert caller.job(caller.submit(metadata=metadata))["metadata"] == metadata


def test_a_zero_character_in_a_prompt_is_kept(caller: Caller, store: Store) -> None:
    caller.submit(request={"model": "chain-a", "prompt": "a\x00b"})

    stored = store.sql("SELECT body FROM payloads")[0]["body"]
    assert json.loads(bytes(stored))["prompt"] == "a\x00b"
