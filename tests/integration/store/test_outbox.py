"""The outbox: what a transition owes, frozen when it happens, in the same statement."""

from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from foreman.core.frames import Failure
from foreman.core.states import JobState
from foreman.core.webhooks import BODY_LIMIT_BYTES, EVENT_TYPES, RESULT_LIMIT_BYTES
from foreman.store import jobs, runs
from foreman.store.models import Artifact
from tests.factories import new_job
from tests.integration.store.ground import Store
from tests.integration.store.ledger import Ledger

ANSWER = b'{"b": 1.0,  "a": "\\u00e9", "deep": [1e2]}'


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def run(ledger: Ledger, job_id: UUID) -> int:
    claim = ledger.store.claim(job_id)
    assert claim
    return claim.fence


def finish(ledger: Ledger, job_id: UUID, to: JobState = JobState.SUCCEEDED) -> None:
    fence = ledger.store.row(job_id)["fence"]
    assert ledger.store.do(runs.finish_run, job_id, fence, to, status=200)


def test_every_transition_owes_a_delivery(ledger: Ledger) -> None:
    job = ledger.accept()
    fence = run(ledger, job.id)
    ledger.store.do(runs.give_back, job.id, fence, reason="shutting_down")
    run(ledger, job.id)
    finish(ledger, job.id)

    assert ledger.types(job.id) == [
        (1, "job.queued"),
        (2, "job.working"),
        (3, "job.queued"),
        (4, "job.working"),
        (5, "job.succeeded"),
    ]


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_every_end_owes_a_delivery(ledger: Ledger, end: str) -> None:
    job = ledger.accept()
    if end == "failed":
        run(ledger, job.id)
        finish(ledger, job.id, JobState.FAILED)
    if end == "cancelled":
        ledger.store.do(jobs.cancel_job, job.id, reason="asked")
    if end == "expired":
        ledger.store.set(job.id, "expires_at = now() - interval '1 ms'")
        ledger.store.reap()

    assert ledger.types(job.id)[-1][1] == f"job.{end}"


def test_a_job_without_a_hook_owes_nothing(ledger: Ledger) -> None:
    claim = ledger.store.working()
    finish(ledger, claim.job_id)

    assert ledger.owed(claim.job_id) == []


def test_only_the_events_that_are_asked_for_are_owed(ledger: Ledger) -> None:
    job = ledger.accept(events=("job.working", "job.failed"))
    run(ledger, job.id)
    finish(ledger, job.id)

    assert ledger.types(job.id) == [(2, "job.working")]


def test_a_body_says_what_happened_and_when(ledger: Ledger) -> None:
    job = ledger.accept()
    ledger.store.set(job.id, """metadata = '{"order": "é"}'""")
    run(ledger, job.id)

    _, working = ledger.owed(job.id)

    (event,) = ledger.store.sql("SELECT * FROM events WHERE seq = 2 AND job_id = :id", id=job.id)
    assert working.body["type"] == "job.working"
    assert datetime.fromisoformat(working.body["timestamp"]) == event["at"]
    assert working.data | {"created_at": ""} == {
        "job_id": str(job.id),
        "seq": 2,
        "state": "working",
        "attempt": 1,
        "reason": None,
        "model": "m:latest",
        "endpoint": "/api/chat",
        "metadata": {"order": "é"},
        "retry_of": None,
        "created_at": "",
        "status": None,
        "error": None,
        "result": None,
        "artifacts": None,
    }


def test_a_failure_says_why(ledger: Ledger) -> None:
    job = ledger.accept()
    ledger.store.set(job.id, "expires_at = now() - interval '1 ms'")
    ledger.store.do(jobs.expire_job, job.id)

    error = ledger.owed(job.id)[-1].data["error"]

    assert error["type"] == "waited_too_long"
    assert error["message"]


def test_a_result_that_fits_is_inside_as_the_target_wrote_it(ledger: Ledger) -> None:
    job = ledger.accept()
    ledger.keep_artifact(job.id, ANSWER, fence=run(ledger, job.id))
    finish(ledger, job.id)

    end = ledger.owed(job.id)[-1]

    assert ANSWER in bytes(end.row["body"])
    assert end.data["result"] == {"b": 1.0, "a": "é", "deep": [100.0]}
    assert end.data["status"] == 200


@pytest.mark.parametrize(
    "answer",
    [
        b'"' + b"x" * RESULT_LIMIT_BYTES + b'"',
        b"<html>Bad gateway</html>",
        b'{"half": ',
        b"\xff\xfe",
        b"",
        b"[" * RESULT_LIMIT_BYTES,
        b"[" * (RESULT_LIMIT_BYTES // 2) + b"]" * (RESULT_LIMIT_BYTES // 2),
    ],
    ids=["too big", "no JSON", "half", "no UTF-8", "empty", "open brackets", "deep"],
)
def test_whatever_the_target_answered_the_job_ends_and_says_so(
    ledger: Ledger, answer: bytes
) -> None:
    job = ledger.accept()
    ledger.keep_artifact(job.id, answer, fence=run(ledger, job.id))
    finish(ledger, job.id)

    row = ledger.store.sql(
        "SELECT type, octet_length(body) AS size FROM deliveries WHERE job_id = :id AND seq = 3",
        id=job.id,
    )

    assert row[0]["type"] == "job.succeeded"
    assert row[0]["size"] <= BODY_LIMIT_BYTES


def test_a_result_that_does_not_fit_is_told_by_its_manifest(ledger: Ledger) -> None:
    job = ledger.accept()
    answer = b'"' + b"x" * RESULT_LIMIT_BYTES + b'"'
    ledger.keep_artifact(job.id, answer, fence=run(ledger, job.id))
    finish(ledger, job.id)

    data = ledger.owed(job.id)[-1].data

    assert data["result"] is None
    assert data["artifacts"] == [
        {
            "name": "response.json",
            "size": len(answer),
            "sha256": "abc",
            "content_type": "application/json",
        }
    ]


def test_what_an_older_run_produced_is_not_told(ledger: Ledger) -> None:
    job = ledger.accept()
    first = run(ledger, job.id)
    ledger.keep_artifact(job.id, ANSWER, fence=first)
    ledger.store.do(runs.give_back, job.id, first, reason="shutting_down")
    run(ledger, job.id)
    finish(ledger, job.id)

    data = ledger.owed(job.id)[-1].data

    assert (data["result"], data["artifacts"]) == (None, None)


def test_a_body_never_has_more_than_20_kb(ledger: Ledger) -> None:
    job = ledger.accept()
    fence = run(ledger, job.id)
    ledger.store.set(job.id, "metadata = jsonb_build_object('k', repeat('\\\\', 490))")
    ledger.store.set(job.id, "error_is_permanent = true, endpoint = repeat(U&'\\0001', 400)")
    ledger.keep_artifact(job.id, b'"' + b"x" * (RESULT_LIMIT_BYTES - 2) + b'"', fence=fence)
    for number in range(100):
        ledger.keep_artifact(job.id, b"", fence=fence, name=f"{number:03}" + "€" * 30)
    ledger.store.set(job.id, "model = repeat('€', 400)")
    failure = Failure(500, "code", "\1" * 30_000)
    ledger.store.do(runs.finish_run, job.id, fence, JobState.FAILED, failure=failure)

    (row,) = ledger.store.sql(
        "SELECT octet_length(body) AS size FROM deliveries WHERE job_id = :id AND seq = 3",
        id=job.id,
    )

    assert row["size"] <= BODY_LIMIT_BYTES


def test_a_result_that_is_kept_in_the_transaction_of_the_end_goes_inside(ledger: Ledger) -> None:
    job = ledger.accept()
    fence = run(ledger, job.id)
    artifact = insert(Artifact).values(
        job_id=job.id,
        fence=fence,
        name="response.json",
        content_type="application/json",
        size_bytes=len(ANSWER),
        sha256="abc",
        body=ANSWER,
    )

    with ledger.store.database.transaction() as connection:
        connection.execute(artifact)
        runs.finish_run(connection, job.id, fence, JobState.SUCCEEDED, status=200)

    assert ANSWER in bytes(ledger.owed(job.id)[-1].row["body"])


def test_the_longest_result_that_goes_inside_goes_inside(ledger: Ledger) -> None:
    job = ledger.accept()
    answer = b'"' + b"x" * (RESULT_LIMIT_BYTES - 2) + b'"'
    ledger.keep_artifact(job.id, answer, fence=run(ledger, job.id))
    finish(ledger, job.id)

    assert answer in bytes(ledger.owed(job.id)[-1].row["body"])


def test_a_body_does_not_change_with_its_job(ledger: Ledger) -> None:
    job = ledger.accept()
    before = bytes(ledger.owed(job.id)[0].row["body"])
    run(ledger, job.id)
    ledger.store.set(job.id, "model = 'other', metadata = '{\"a\": 1}'")
    finish(ledger, job.id)

    assert bytes(ledger.owed(job.id)[0].row["body"]) == before


def test_a_receiver_that_is_gone_is_owed_nothing_more(ledger: Ledger) -> None:
    job = ledger.accept()
    ledger.store.sql("UPDATE hooks SET gone_at = now()")
    run(ledger, job.id)

    assert ledger.types(job.id) == [(1, "job.queued")]


def cancel_and_fail(ledger: Ledger, job_id: UUID) -> None:
    with ledger.store.database.transaction() as connection:
        jobs.cancel_job(connection, job_id, reason="asked")
        connection.exec_driver_sql("SELECT 1 / 0")


def test_a_move_that_is_undone_owes_nothing(ledger: Ledger) -> None:
    job = ledger.accept()

    with pytest.raises(DBAPIError):
        cancel_and_fail(ledger, job.id)

    assert ledger.types(job.id) == [(1, "job.queued")]


def test_many_jobs_get_their_hooks_at_once(ledger: Ledger) -> None:
    accepted = [new_job() for _ in range(100)]
    ledger.accept_all(accepted)

    owed = ledger.store.sql("SELECT job_id, seq, type FROM deliveries")
    assert {row["job_id"] for row in owed} == {job.id for job in accepted}
    assert {(row["seq"], row["type"]) for row in owed} == {(1, "job.queued")}


VERBS = [
    "claim",
    "succeed",
    "fail",
    "cancelled",
    "give back",
    "cancel",
    "expire",
    "lose",
    "hopeless",
]


def do(ledger: Ledger, job_id: UUID, verb: str) -> None:
    """Try one verb; most of them do nothing in most states."""
    store, fence = ledger.store, ledger.store.row(job_id)["fence"]
    ends = {
        "succeed": JobState.SUCCEEDED,
        "fail": JobState.FAILED,
        "cancelled": JobState.CANCELLED,
    }
    if verb == "claim":
        store.claim(job_id)
    elif verb in ends:
        store.do(runs.finish_run, job_id, fence, ends[verb])
    elif verb == "give back":
        store.do(runs.give_back, job_id, fence, reason="shutting_down")
    elif verb == "cancel":
        store.do(jobs.cancel_job, job_id, reason="asked")
    elif verb == "expire":
        store.set(job_id, "expires_at = now() - interval '1 ms'")
        store.do(jobs.expire_job, job_id)
    else:
        tries = ", attempt = max_attempts" if verb == "hopeless" else ""
        store.set(job_id, f"lease_until = now() - interval '1 ms'{tries}")
        store.reap()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    verbs=st.lists(st.sampled_from(VERBS), max_size=10),
    wanted=st.none() | st.sets(st.sampled_from(EVENT_TYPES)).map(tuple),
)
def test_owed_are_exactly_the_transitions_that_are_wanted(
    ledger: Ledger, verbs: list[str], wanted: tuple[str, ...] | None
) -> None:
    job = ledger.accept(events=wanted)
    for verb in verbs:
        do(ledger, job.id, verb)

    happened = [(seq, f"job.{state}") for seq, state, _ in ledger.store.events(job.id)]
    assert ledger.types(job.id) == [
        (seq, name) for seq, name in happened if wanted is None or name in wanted
    ]
