"""The oracle objects: each test hands it evidence of one broken promise, and sees it named."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreman.core.webhooks import signed_headers
from tests.chaos import answers
from tests.chaos.oracle import RULES, judge
from tests.chaos.row import Promise, Sees
from tests.chaos.values import Accepted, Delivered, Ending, Evidence, Kind, Record, Sample, Times

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
TEXT = answers.words("t", 4)
PROMISE = Promise(says="everything", recovers=1, ends=1)
TIMES = Times(began=1000, injected=1003, healed=1010, recovered=1011, ended=1014, lease_s=5)
WORDS = answers.said(TEXT).split(" ")
PIECES = [WORDS[0], *(f" {word}" for word in WORDS[1:])]


def ndjson(pieces: Sequence[str], *after: Mapping[str, Any]) -> bytes:
    lines: list[Mapping[str, Any]] = [{"message": {"content": each}} for each in pieces]
    return b"".join(json.dumps(each).encode() + b"\n" for each in (*lines, *after))


DONE = {"message": {"content": ""}, "done": True}
FAILED = {"error": "part of foreman failed"}


def record(body: bytes = ndjson(PIECES, DONE), **changes: Any) -> Record:
    """A chat that was answered whole, before the fault, unless something else is given."""
    made = Record(
        kind=Kind.CHAT, web="web1", expected=answers.said(TEXT), started=1001.0, ended=1002.0,
        ending=Ending.WHOLE, status=200, headers={"x-foreman-job-id": "sync"}, body=body,
    )  # fmt: skip
    return replace(made, **changes)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "state": "succeeded", "source": "async", "fence": 1, "attempt": 1, "max_attempts": 3,
        "error_code": None, "error_message": None, "ended_at": 1005.0,
    } | changes  # fmt: skip


def events(*states: str) -> list[dict[str, Any]]:
    return [{"seq": seq, "state": state} for seq, state in enumerate(states, 1)]


def delivered(
    seq: int, *, secret: str = SECRET, at: float = 1005.0, body: bytes | None = None
) -> Delivered:
    """A webhook about the accepted job."""
    sent = body or json.dumps({"data": {"job_id": "async", "seq": seq}}).encode()
    headers = signed_headers([secret], f"id-{seq}", int(time.time()), sent)
    return Delivered(
        receiver="good",
        headers={name.lower(): value for name, value in headers.items()},
        body=sent,
        at=at + seq / 10,
    )


def generation(job_id: str = "sync", **changes: Any) -> dict[str, Any]:
    return {
        "job_id": job_id, "arrived": 1001.0, "end": 1002.0, "ended": "done", "tokens": len(WORDS),
    } | changes  # fmt: skip


KEPT_ROWS = {"sync": row(source="sync"), "async": row()}
KEPT_EVENTS = {name: events("queued", "working", "succeeded") for name in ("sync", "async")}


def evidence(**changes: Any) -> Evidence:
    """Of a row where every promise was kept."""
    kept = Evidence(
        times=TIMES,
        records=[record()],
        accepted=[
            Accepted(
                job_id="async", key="k", expected=answers.said(TEXT), secret=SECRET,
                receiver="good", at=1001.0,
            )
        ],
        rows=KEPT_ROWS,
        events=KEPT_EVENTS,
        results={"async": json.dumps({"message": {"content": answers.said(TEXT)}}).encode()},
        generations=[generation(), generation("async")],
        delivered=[delivered(1), delivered(2), delivered(3)],
        samples=[Sample(web="web1", at=1009.0, status=503, says={"database": "does not answer"})],
    )  # fmt: skip
    return replace(kept, **changes)


def rules(found: Evidence, promise: Promise = PROMISE) -> set[str]:
    return {violation.rule for violation in judge(found, promise)}


def test_it_has_nothing_to_say_where_every_promise_was_kept() -> None:
    assert judge(evidence(), replace(PROMISE, unready="database", sees=Sees.NOTHING)) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ndjson([*PIECES[:2], *PIECES[3:]], DONE), id="missing"),
        pytest.param(ndjson([*PIECES[:2], *PIECES[1:]], DONE), id="doubled"),
        pytest.param(ndjson([*PIECES[:2], " u.7", *PIECES[2:]], DONE), id="of another stream"),
        pytest.param(ndjson(PIECES[:-1], DONE), id="missing at the end"),
        pytest.param(ndjson(PIECES[:2], FAILED, {"message": {"content": PIECES[2]}}), id="late"),
        pytest.param(ndjson(PIECES, DONE, FAILED), id="error after the end"),
    ],
)
def test_it_objects_to_a_token_that_is(body: bytes) -> None:
    assert "tokens" in rules(evidence(records=[record(body)]))


def test_it_objects_to_a_late_event_of_an_event_stream() -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": answers.said(TEXT)}}]}).encode()
    body = b"data: " + chunk + b"\n\ndata: [DONE]\n\n"

    assert rules(evidence(records=[record(body, kind=Kind.SSE)])) == set()
    late = body + b"data: " + chunk + b"\n\n"
    assert "tokens" in rules(evidence(records=[record(late, kind=Kind.SSE)]))


@pytest.mark.parametrize(
    "seen",
    [
        record(ndjson(PIECES[:2]), ending=Ending.CUT),
        record(ndjson(PIECES[:2])),
        record(b"", ending=Ending.NO_ANSWER, status=0),
    ],
)
def test_it_objects_to_a_silent_end_unless_the_process_died(seen: Record) -> None:
    assert "silent end" in rules(evidence(records=[seen]))
    dead = replace(PROMISE, cuts=("web1",))
    assert "silent end" not in rules(evidence(records=[seen]), dead)


def test_it_accepts_an_error_in_the_stream_while_the_fault_lasts() -> None:
    failed = evidence(
        records=[record(ndjson(PIECES[:2], FAILED), started=1004.0, ended=1006.0)],
        rows=KEPT_ROWS | {"sync": row(source="sync", state="failed")},
        events=KEPT_EVENTS | {"sync": events("queued", "working", "failed")},
    )

    assert rules(failed) == set()
    assert rules(failed, replace(PROMISE, sees=Sees.NOTHING)) == {"clients"}


@pytest.mark.parametrize(("started", "ended"), [(1001.0, 1002.0), (1030.0, 1031.0)])
def test_it_objects_to_an_error_before_and_long_after_the_fault(
    started: float, ended: float
) -> None:
    seen = record(b"", status=502, started=started, ended=ended)

    assert "clients" in rules(evidence(records=[seen]))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"status": 500, "body": b"{}"}, "status"),
        ({"status": 499, "body": b"{}"}, "status"),
        ({"status": 503, "body": b"{}"}, "status"),  # no Retry-After
        ({"ending": Ending.HUNG}, "hangs"),
    ],
)
def test_it_objects_to_an_answer_that_nobody_may_get(changes: dict[str, Any], rule: str) -> None:
    assert rule in rules(evidence(records=[record(started=1004.0, **changes)]))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"rows": {"sync": row(source="sync")}}, "lost job"),
        ({"rows": KEPT_ROWS | {"async": row(ended_at=None)}}, "job without an end"),
        ({"rows": KEPT_ROWS | {"async": row(ended_at=1060.0)}}, "job without an end"),
        ({"rows": KEPT_ROWS | {"async": row(state="failed")}}, "result"),
        ({"results": {}}, "result"),
        ({"results": {"async": b'{"message": {"content": "else"}}'}}, "result"),
    ],
)
def test_it_objects_to_a_job_that_is_lost_or_late_or_wrong(
    changes: dict[str, Any], rule: str
) -> None:
    assert rule in rules(evidence(**changes))


def test_it_objects_to_two_jobs_of_one_key() -> None:
    accepted = evidence().accepted[0]
    twice = evidence(
        accepted=[accepted, replace(accepted, job_id="sync")],
    )

    assert "lost job" in rules(twice)


@pytest.mark.parametrize(
    "states",
    [
        ("queued", "working", "succeeded", "succeeded"),
        ("queued", "working", "failed", "succeeded"),
        ("queued", "working", "succeeded", "queued"),
        ("queued", "working"),
    ],
)
def test_it_objects_to_a_job_that_ends_twice_or_goes_on(states: tuple[str, ...]) -> None:
    assert "double end" in rules(evidence(events=KEPT_EVENTS | {"async": events(*states)}))


def test_it_objects_to_a_gap_between_events() -> None:
    gap = [each for each in events("queued", "working", "succeeded") if each["seq"] != 2]

    assert "double end" in rules(evidence(events=KEPT_EVENTS | {"async": gap}))


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_it_objects_to_a_row_that_contradicts_a_whole_answer(state: str) -> None:
    rows = KEPT_ROWS | {"sync": row(source="sync", state=state)}

    assert "client and row" in rules(evidence(rows=rows))


def test_it_objects_to_the_cancelled_job_of_a_client_that_waits() -> None:
    cancelled = evidence(
        rows=KEPT_ROWS | {"sync": row(source="sync", state="cancelled")},
        events=KEPT_EVENTS | {"sync": events("queued", "working", "cancelled")},
    )
    for error, objects in (({"error": "The job was cancelled."}, True), (FAILED, False)):
        waiting = record(ndjson(PIECES[:1], error), started=1004.0)

        assert ("client and row" in rules(replace(cancelled, records=[waiting]))) is objects


def test_it_objects_to_an_answer_that_no_target_gave() -> None:
    assert "target and client" in rules(evidence(generations=[generation("async")]))


@pytest.mark.parametrize(
    "generations",
    [
        pytest.param([generation("async", arrived=1010.0)], id="after its end"),
        pytest.param([generation("async"), generation("async")], id="more than its claims"),
    ],
)
def test_it_objects_to_a_generation(generations: list[dict[str, Any]]) -> None:
    assert "generations" in rules(evidence(generations=[generation(), *generations]))


@pytest.mark.parametrize(
    ("came", "rule"),
    [
        ([delivered(1, secret=OTHER_SECRET), delivered(2), delivered(3)], "webhook signature"),
        ([delivered(1), delivered(3)], "webhook missing"),
        ([delivered(1), delivered(2), delivered(3), delivered(4)], "webhook missing"),
        ([delivered(1, at=1006.0), delivered(2), delivered(3)], "webhook order"),
        (
            [*evidence().delivered, delivered(1, body=b'{"data": {"job_id": "async", "seq":1}}')],
            "webhook duplicate",
        ),
    ],
)
def test_it_objects_to_webhooks(came: list[Delivered], rule: str) -> None:
    assert rule in rules(evidence(delivered=came))


def test_it_accepts_a_webhook_that_comes_again_as_it_was() -> None:
    assert rules(evidence(delivered=[*evidence().delivered, delivered(2)])) == set()


@pytest.mark.parametrize("says", [{"database": "ok", "broker": "is away"}, {}])
@pytest.mark.parametrize("status", [200, 503])
def test_it_objects_to_readiness_that_hides_the_fault(status: int, says: dict[str, str]) -> None:
    sample = Sample(web="web1", at=1009.0, status=status, says=says)

    assert "readyz" in rules(evidence(samples=[sample]), replace(PROMISE, unready="database"))


@pytest.mark.parametrize("recovered", [None, 1030.0])
def test_it_objects_to_a_recovery_that_is_late_or_never(recovered: float | None) -> None:
    assert "recovery" in rules(evidence(times=replace(TIMES, recovered=recovered)))


def test_it_objects_to_a_process_that_has_ended() -> None:
    assert "recovery" in rules(evidence(gone=["relay1"]))


def test_it_objects_to_messages_that_nobody_takes() -> None:
    assert "messages left" in rules(evidence(left={"model.chat-a": 1}))
    assert rules(evidence(left={"model.chat-a": 0})) == set()


def test_it_objects_to_a_job_that_was_not_accepted_at_once() -> None:
    refused = record(b"", kind=Kind.JOB, status=503, headers={"retry-after": "1"})
    promise = replace(PROMISE, accepts=True)

    assert "accepts" in rules(evidence(records=[refused]), promise)
    slow = replace(refused, status=202, ended=1020.0)
    assert "accepts" in rules(evidence(records=[slow]), promise)


def test_each_rule_has_a_test_that_sees_it_object() -> None:
    text = Path(__file__).read_text()

    assert [name for name in RULES if f'"{name}"' not in text] == []
