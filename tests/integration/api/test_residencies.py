"""How many residencies may have waiting jobs: of one model, and in all."""

import json
from dataclasses import replace
from typing import Any

import pytest

from foreman.core.queues import residency_of
from foreman.core.states import JobState
from foreman.runtime import WebRuntime
from foreman.services.outlook import look_ahead, read_facts
from foreman.store import runs
from tests.integration.api.ground import Caller, Reply, ask, problem_of
from tests.integration.store.ground import Store

MODEL = "chain-a:latest"
REASON = f"8 residencies of model {MODEL} have waiting jobs (FOREMAN_MAX_RESIDENCIES)"


def sized(num_ctx: int, model: str = MODEL) -> dict[str, Any]:
    """The body of a chat whose context size makes a residency of its own."""
    messages = [{"role": "user", "content": "hi"}]
    return {"model": model, "messages": messages, "options": {"num_ctx": num_ctx}}


def submit(caller: Caller, request: dict[str, Any]) -> Reply:
    return caller.post("/jobs", ask(request=request))


def wait_in(store: Store, *sizes: int, model: str = MODEL) -> None:
    for num_ctx in sizes:
        queue = residency_of(model, {"num_ctx": num_ctx}).queue
        store.queued(model=model, queue=queue)


@pytest.fixture(autouse=True)
def live(runtime: WebRuntime, store: Store) -> None:
    """A worker drives the target, and nothing waits."""
    store.declare("gpu")
    store.lease("gpu")
    read_facts(runtime)


def test_jobs_that_differ_in_one_option_make_no_more_residencies_than_may_be(
    caller: Caller, store: Store
) -> None:
    answers = [submit(caller, sized(4096 + number)) for number in range(400)]

    assert [answer.status_code for answer in answers] == [202] * 8 + [503] * 392
    assert {problem_of(answer)[1] for answer in answers[8:]} == {"queue_full"}
    assert REASON in answers[8].json["detail"]
    assert int(answers[8].headers["Retry-After"]) >= 1
    assert store.sql("SELECT count(DISTINCT queue) AS n FROM jobs")[0]["n"] == 8


def test_residencies_that_have_waiting_jobs_take_more_and_other_models_are_not_concerned(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    wait_in(store, *range(4096, 4104))
    read_facts(runtime)

    assert submit(caller, sized(9999)).status_code == 503
    assert [submit(caller, sized(num_ctx)).status_code for num_ctx in range(4096, 4104)] == [
        202
    ] * 8
    assert submit(caller, sized(9999, "chain-b")).status_code == 202


def test_there_is_room_again_when_a_residency_has_no_waiting_job_left(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    wait_in(store, *range(4096, 4103))
    last = submit(caller, sized(5000))
    read_facts(runtime)
    assert submit(caller, sized(9999)).status_code == 503

    claim = store.claim(last.json["id"])
    read_facts(runtime)

    assert claim is not None
    assert submit(caller, sized(9999)).status_code == 202


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/api/chat", sized(9999), lambda body: body["error"]),
        ("/api/generate", sized(9999) | {"prompt": "hi"}, lambda body: body["error"]),
        ("/v1/chat/completions", sized(9999), lambda body: body["error"]["message"]),
        ("/v1/messages", sized(9999) | {"max_tokens": 9}, lambda body: body["error"]["message"]),
        ("/jobs", ask(request=sized(9999)), lambda body: body["detail"]),
    ],
)
def test_the_refusal_names_its_reason_in_the_form_of_the_route(
    caller: Caller, store: Store, runtime: WebRuntime, path: str, body: Any, message: Any
) -> None:
    wait_in(store, *range(4096, 4104))
    read_facts(runtime)

    answer = caller.post(path, body)

    assert answer.status_code == 503
    assert REASON in message(answer.json)
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_line_of_a_batch_is_refused_alone(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    wait_in(store, *range(4096, 4104))
    read_facts(runtime)
    lines = [ask(request=sized(9999)), ask(request=sized(4096))]

    answer = caller.post("/jobs/batch", b"".join(json.dumps(e).encode() + b"\n" for e in lines))

    refused, accepted = (json.loads(line) for line in answer.data.splitlines())
    assert (refused["status"], accepted["status"]) == (503, 202)
    assert REASON in refused["error"]["detail"]
    assert refused["retry_after_s"] >= 1


def test_all_models_together_have_a_limit_too(
    caller: Caller, store: Store, runtime: WebRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_in(store, 4096, 4097)
    wait_in(store, 4096, model="chain-b:latest")
    read_facts(runtime)
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, max_residencies_total=3))

    refused = submit(caller, sized(4096, "chain-c"))

    assert problem_of(refused)[:2] == (503, "queue_full")
    assert "3 residencies have waiting jobs (FOREMAN_MAX_RESIDENCIES_TOTAL)" in refused.text
    assert submit(caller, sized(4097)).status_code == 202


def test_the_refusal_says_when_the_first_residency_will_be_drained(
    caller: Caller, store: Store, runtime: WebRuntime
) -> None:
    for num_ctx in range(4096, 4104):
        queue = residency_of(MODEL, {"num_ctx": num_ctx}).queue
        claim = store.working(model=MODEL, queue=queue)
        store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED, status=200)
        store.set(claim.job_id, "working_at = ended_at - interval '7 s'")
        for _ in range(3):
            store.queued(model=MODEL, queue=queue)
    read_facts(runtime)
    look_ahead(runtime)

    answer = submit(caller, sized(9999))

    # A swap of 10 s, as long as none was measured; the third job starts after two runs of 7 s.
    assert answer.headers["Retry-After"] == "24"
