"""Results and artifacts: whose bytes are shown, whole, in parts, or not again."""

import hashlib
from uuid import UUID

import pytest
from sqlalchemy import insert

from foreman.core.states import JobState, Source
from foreman.store import runs
from foreman.store.models import Artifact
from foreman.store.runs import Claim
from tests.factories import failure
from tests.integration.api.ground import Caller, problem_of
from tests.integration.store.ground import Store

BODY = bytes(range(256)) * 40_000  # about 10 MB: several pieces


def keep(
    store: Store, job_id: UUID, fence: int, name: str = "response.json", body: bytes = b"{}"
) -> None:
    """Store an artifact as a worker does."""
    row = {
        "job_id": job_id,
        "fence": fence,
        "name": name,
        "content_type": "application/json; charset=utf-8",
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body,
    }
    with store.database.statement() as connection:
        connection.execute(insert(Artifact).values(row))


def claimed(caller: Caller, store: Store) -> Claim:
    claim = store.claim(caller.submit())
    assert claim
    return claim


def succeed(store: Store, claim: Claim) -> None:
    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED, status=200)


@pytest.fixture
def job(caller: Caller, store: Store) -> str:
    """The path of a job with two artifacts."""
    claim = claimed(caller, store)
    keep(store, claim.job_id, claim.fence, body=b'{"done":true}')
    keep(store, claim.job_id, claim.fence, "stream.ndjson", BODY)
    succeed(store, claim)
    return f"/jobs/{claim.job_id}"


def test_the_result_is_the_stored_bytes_with_their_own_type(caller: Caller, job: str) -> None:
    answer = caller.get(f"{job}/result")

    assert (answer.status_code, answer.data) == (200, b'{"done":true}')
    assert answer.content_type == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["result", "artifacts/stream.ndjson"])
@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=0-3"}, {"If_None_Match": "*"}], ids=["200", "206", "304"]
)
def test_no_browser_runs_what_a_model_wrote(
    caller: Caller, job: str, path: str, headers: dict[str, str]
) -> None:
    answer = caller.get(f"{job}/{path}", **headers)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_the_manifest_names_size_digest_and_place(caller: Caller, job: str) -> None:
    manifest = caller.get(f"{job}/artifacts").json["data"]

    assert [each["name"] for each in manifest] == ["response.json", "stream.ndjson"]
    stream = manifest[1]
    assert (stream["size"], stream["sha256"]) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert caller.get(stream["url"]).data == BODY


def test_bytes_of_a_run_that_was_lost_are_not_shown(caller: Caller, store: Store) -> None:
    lost = claimed(caller, store)
    keep(store, lost.job_id, lost.fence, body=b"lost")
    store.do(runs.give_back, lost.job_id, lost.fence, reason="lost")
    again = store.claim(lost.job_id)
    assert again
    keep(store, again.job_id, again.fence, body=b"found")

    before = caller.get(f"/jobs/{lost.job_id}/artifacts").json["data"]
    succeed(store, again)

    assert before == []
    assert len(caller.get(f"/jobs/{lost.job_id}/artifacts").json["data"]) == 1
    assert caller.get(f"/jobs/{lost.job_id}/result").data == b"found"


def test_a_job_that_has_not_ended_has_no_result_yet(caller: Caller) -> None:
    answer = caller.get(f"/jobs/{caller.submit()}/result")

    assert problem_of(answer)[:2] == (409, "not_ended")


def test_a_failed_job_answers_for_its_result_with_its_error(caller: Caller, store: Store) -> None:
    claim = claimed(caller, store)
    told = failure("it broke", code="target_cut")
    store.do(runs.finish_run, claim.job_id, claim.fence, JobState.FAILED, failure=told)

    answer = caller.get(f"/jobs/{claim.job_id}/result")

    assert problem_of(answer)[:2] == (409, "not_succeeded")
    assert "target_cut: it broke" in answer.json["detail"]


def test_a_synchronous_job_says_why_it_has_no_result(caller: Caller, store: Store) -> None:
    claim = store.working(source=Source.SYNC)
    succeed(store, claim)

    answer = caller.get(f"/jobs/{claim.job_id}/result")

    assert problem_of(answer)[:2] == (404, "no_result")
    assert "synchronous" in answer.json["detail"]


def test_an_unknown_artifact_is_a_problem(caller: Caller, job: str) -> None:
    for name in ("other", "a%00b", "a b"):
        answer = caller.get(f"{job}/artifacts/{name}")
        assert problem_of(answer)[:2] == (404, "artifact_unknown")


def test_who_has_the_bytes_already_gets_none(caller: Caller, job: str) -> None:
    etag = caller.get(f"{job}/artifacts/stream.ndjson").headers["ETag"]

    for known in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        answer = caller.get(f"{job}/artifacts/stream.ndjson", If_None_Match=known)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert caller.get(f"{job}/result", If_None_Match=etag).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-4999999", 100, 5_000_000),
        ("bytes=-10", len(BODY) - 10, len(BODY)),
        ("bytes=10000000-", 10_000_000, len(BODY)),
        ("bytes=0-99999999999", 0, len(BODY)),
    ],
)
def test_a_range_is_that_part(caller: Caller, job: str, wanted: str, start: int, stop: int) -> None:
    answer = caller.get(f"{job}/artifacts/stream.ndjson", Range=wanted)

    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(BODY)}"
    assert answer.data == BODY[start:stop]


def test_a_range_with_no_byte_in_it_is_refused(caller: Caller, job: str) -> None:
    answer = caller.get(f"{job}/artifacts/stream.ndjson", Range=f"bytes={len(BODY)}-")

    assert problem_of(answer)[:2] == (416, "range_refused")
    assert answer.headers["Content-Range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=9-1"])
def test_a_range_that_is_not_one_range_of_bytes_is_ignored(
    caller: Caller, job: str, wanted: str
) -> None:
    assert caller.get(f"{job}/artifacts/stream.ndjson", Range=wanted).status_code == 200


def test_a_range_of_other_bytes_than_these_is_all_of_them(caller: Caller, job: str) -> None:
    path = f"{job}/artifacts/stream.ndjson"
    etag = caller.get(path).headers["ETag"]

    same = caller.get(path, Range="bytes=0-4", If_Range=etag)
    other = caller.get(path, Range="bytes=0-4", If_Range='"other"')

    assert (same.status_code, other.status_code) == (206, 200)


def test_a_head_has_the_headers_and_no_byte(caller: Caller, job: str) -> None:
    answer = caller.head(f"{job}/artifacts/stream.ndjson")

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Accept-Ranges"] == "bytes"
