"""What a run produced is kept with its end, or not at all; what a target says always fits."""

import hashlib

import pytest

from foreman.core.gather.usage import Usage
from foreman.core.states import JobState
from foreman.store import runs
from foreman.store.produced import Produced, keep_artifacts
from foreman.store.runs import Claim
from tests.factories import failure
from tests.integration.store.ground import Store

RESULT = Produced("response.json", "application/json", b'{"done":true}')
IMAGE = Produced("image-1.png", "image/png", bytes(range(256)))


class PowerCut(Exception):
    """The process dies before its transaction ends."""


def end(store: Store, claim: Claim, *artifacts: Produced, dies: bool = False) -> bool:
    """End a run as a worker does."""
    with store.database.transaction() as connection:
        is_newest = keep_artifacts(connection, claim.job_id, claim.fence, artifacts)
        is_newest = is_newest and runs.finish_run(
            connection, claim.job_id, claim.fence, JobState.SUCCEEDED
        )
        if dies:
            raise PowerCut
        return is_newest


def test_artifacts_are_kept_with_the_end_of_their_run(store: Store) -> None:
    claim = store.working()

    assert end(store, claim, RESULT, IMAGE)

    rows = {row["name"]: row for row in store.sql("SELECT * FROM artifacts")}
    assert set(rows) == {"response.json", "image-1.png"}
    image = rows["image-1.png"]
    assert (bytes(image["body"]), image["size_bytes"]) == (IMAGE.body, 256)
    assert image["sha256"] == hashlib.sha256(IMAGE.body).hexdigest()
    assert (image["job_id"], image["fence"]) == (claim.job_id, claim.fence)


def test_a_run_that_was_fenced_off_keeps_nothing(store: Store) -> None:
    old = store.working()
    store.do(runs.give_back, old.job_id, old.fence, reason="worker_lost")
    assert store.claim(old.job_id)

    assert not end(store, old, RESULT)

    assert store.sql("SELECT * FROM artifacts") == []


def test_a_run_whose_job_has_ended_keeps_nothing(store: Store) -> None:
    late = store.ended(JobState.SUCCEEDED)

    assert not end(store, late, RESULT)

    assert store.sql("SELECT * FROM artifacts") == []


def test_artifacts_without_an_end_are_not_kept(store: Store) -> None:
    claim = store.working()

    with pytest.raises(PowerCut):
        end(store, claim, RESULT, dies=True)

    assert store.sql("SELECT * FROM artifacts") == []
    assert store.state(claim.job_id) is JobState.WORKING


def test_a_target_may_count_as_high_as_it_likes(store: Store) -> None:
    claim = store.working()
    usage = Usage(prompt_tokens=2**62, output_tokens=-1, eval_s=1e300)

    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED, usage=usage)

    row = store.row(claim.job_id)
    assert (row["prompt_tokens"], row["output_tokens"]) == (2**31 - 1, 0)
    assert (row["eval_s"], row["load_s"]) == (1e300, None)


@pytest.mark.parametrize("content_type", ["text/a\0b", "text/a\r\nX: b", "text/\ud800"])
def test_a_content_type_that_no_header_carries_keeps_no_job_from_ending(
    store: Store, content_type: str
) -> None:
    claim = store.working()

    assert end(store, claim, Produced("response.json", content_type, b"{}"))

    (row,) = store.sql("SELECT content_type FROM artifacts")
    assert row["content_type"] == "application/octet-stream"


def test_a_target_may_say_what_no_text_can_hold(store: Store) -> None:
    claim = store.working()
    why = failure("a\0b\ud800c" + "x" * 5000)

    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.FAILED, failure=why)

    assert store.row(claim.job_id)["error_message"].startswith("a\ufffdb?cx")
    assert store.row(claim.job_id)["error_is_permanent"] is True
