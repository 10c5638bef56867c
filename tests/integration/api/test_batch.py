"""`POST /jobs/batch`: a line of answer for each line, and one bad line harms no other."""

import json
import threading
from typing import Any

from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store

MIB = 1024 * 1024


def lines_of(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def ndjson(*asks: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in asks)


def test_every_line_is_a_job_and_says_which(caller: Caller, store: Store) -> None:
    body = ndjson(*(ask(metadata={"n": n}) for n in range(3)))

    answer = caller.post("/jobs/batch", body, X_Foreman_Client="nightly")

    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    lines = lines_of(answer.data)
    assert [(line["index"], line["status"]) for line in lines] == [(0, 202), (1, 202), (2, 202)]
    rows = store.sql("SELECT * FROM jobs ORDER BY created_at")
    assert [row["metadata"]["n"] for row in rows] == [0, 1, 2]
    assert [f"/jobs/{row['id']}" for row in rows] == [line["job_url"] for line in lines]
    assert {row["client"] for row in rows} == {"nightly"}
    # The relay publishes them: no request waits behind ten thousand messages.
    assert {(row["published_at"], row["publish_tries"]) for row in rows} == {(None, 0)}


def test_one_bad_line_harms_no_other(caller: Caller, store: Store) -> None:
    good = ndjson(ask())
    bad = [
        b"{\n",
        b"[1]\n",
        b'"\xff\xfe"\n',
        b"nonsense \x00 bytes\n",
        ndjson(ask(surprise=1)),
        ndjson(ask(metadata={"a": "\x00"})),
        ndjson(ask(request={"model": "not-here"})),
        b'{"a":"' + b"x" * (4 * MIB) + b'"}\n',
        b"[" * 50_000 + b"\n",
    ]
    body = b"".join(good + line for line in bad) + good

    lines = lines_of(caller.post("/jobs/batch", body).data)

    assert [line["index"] for line in lines] == list(range(2 * len(bad) + 1))
    assert [line["status"] for line in lines[::2]] == [202] * (len(bad) + 1)
    refused = [line["status"] for line in lines[1::2]]
    assert refused == [400, 422, 400, 400, 422, 422, 422, 413, 400]
    assert lines[9]["error"]["field"] == "surprise"
    assert len(store.sql("SELECT id FROM jobs")) == len(bad) + 1


def test_empty_lines_count_and_have_no_answer(caller: Caller) -> None:
    body = b"\n\r\n" + ndjson(ask()) + b"   \n" + ndjson(ask()).rstrip()

    lines = lines_of(caller.post("/jobs/batch", body).data)

    assert [(line["index"], line["status"]) for line in lines] == [(2, 202), (4, 202)]


def test_an_empty_batch_has_an_empty_answer(caller: Caller) -> None:
    answer = caller.post("/jobs/batch", b"")

    assert (answer.status_code, answer.data) == (200, b"")


def test_ten_thousand_lines_are_accepted_in_one_call(caller: Caller, store: Store) -> None:
    body = ndjson(ask()) * 10_000

    lines = lines_of(caller.post("/jobs/batch", body).data)

    assert [line["index"] for line in lines] == list(range(10_000))
    assert {line["status"] for line in lines} == {202}
    assert len({line["id"] for line in lines}) == 10_000
    counts = store.sql(
        "SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM payloads) AS payloads,"
        " (SELECT count(*) FROM events) AS events"
    )
    assert counts == [{"jobs": 10_000, "payloads": 10_000, "events": 10_000}]


def test_a_batch_that_is_sent_again_with_its_key_makes_no_job_twice(
    caller: Caller, store: Store
) -> None:
    body = ndjson(*(ask(metadata={"n": n}) for n in range(1200)))
    first = lines_of(caller.post("/jobs/batch", body[: len(body) // 2], Idempotency_Key="b1").data)

    again = lines_of(caller.post("/jobs/batch", body, Idempotency_Key="b1").data)

    whole = [line for line in first if line["status"] == 202]
    assert len(whole) > 500
    assert again[: len(whole)] == whole
    assert {line["status"] for line in again} == {202}
    assert len(store.sql("SELECT id FROM jobs")) == 1200


def test_a_line_that_changed_under_its_key_is_refused_alone(caller: Caller) -> None:
    caller.post("/jobs/batch", ndjson(ask(), ask()), Idempotency_Key="b1")

    again = caller.post("/jobs/batch", ndjson(ask(), ask(max_attempts=9)), Idempotency_Key="b1")

    assert [line["status"] for line in lines_of(again.data)] == [202, 422]
    assert lines_of(again.data)[1]["error"]["type"] == "/docs#idempotency_key_reused"


def test_a_wrong_header_is_refused_before_a_line_is_read(caller: Caller) -> None:
    answer = caller.post("/jobs/batch", ndjson(ask()), X_Foreman_Client="caf\xe9")

    assert problem_of(answer) == (422, "invalid", "X-Foreman-Client")


def test_a_batch_leaves_no_thread_behind(caller: Caller) -> None:
    caller.post("/jobs/batch", ndjson(ask()))

    for thread in threading.enumerate():
        if thread.name == "batch":
            thread.join(10)
            assert not thread.is_alive()
