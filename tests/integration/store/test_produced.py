"""What a run produced is kept with its end, or not at all; what a target says always fits."""

import hashlib
from uuid import UUID

import pytest
from sqlalchemy import text

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
        if not is_newest:
            connection.rollback()
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


def is_locked(store: Store, job_id: UUID) -> bool:
    """Whether somebody holds the job's row against a change."""
    free = "SELECT id FROM jobs WHERE id = :id FOR NO KEY UPDATE SKIP LOCKED"
    return not store.sql(free, id=job_id)


def test_while_artifacts_are_written_the_jobs_row_is_free(store: Store) -> None:
    claim = store.working()

    with store.database.transaction() as connection:
        assert keep_artifacts(connection, claim.job_id, claim.fence, [RESULT, IMAGE])
        assert not is_locked(store, claim.job_id)
        assert runs.finish_run(connection, claim.job_id, claim.fence, JobState.SUCCEEDED)
        assert is_locked(store, claim.job_id)


def test_a_large_write_has_more_time_than_other_statements_and_they_no_more_after_it(
    store: Store,
) -> None:
    claim = store.working()
    limit = text("SELECT current_setting('statement_timeout')")
    large = Produced("response.json", "application/json", bytes(3 * 2**20))
    # What the write itself was given, by a trigger: nobody else can see it.
    store.sql("CREATE TABLE seen (write_limit text)")
    store.sql(
        "CREATE FUNCTION note_limit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NEW; END $$"
    )
    store.sql(
        "CREATE TRIGGER note BEFORE INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION note_limit()"
    )
    try:
        with store.database.transaction() as connection:
            before = connection.scalar(limit)
            assert keep_artifacts(connection, claim.job_id, claim.fence, [large])
            after = connection.scalar(limit)
        ((seen,),) = [row.values() for row in store.sql("SELECT * FROM seen")]
    finally:
        store.sql("DROP TRIGGER note ON artifacts")
        store.sql("DROP FUNCTION note_limit")
        store.sql("DROP TABLE seen")

    assert (before, seen, after) == ("15s", "27s", "15s")


def test_bytes_are_stored_so_that_a_range_of_them_is_read_alone(store: Store) -> None:
    claim = store.working(body=bytes(2**20))

    assert end(store, claim, Produced("response.json", "application/json", bytes(2**20)))

    sizes = store.sql(
        "SELECT pg_column_size(artifacts.body) AS result, pg_column_size(payloads.body) AS request"
        " FROM artifacts JOIN payloads USING (job_id)"
    )
    assert sizes == [{"result": 2**20, "request": 2**20}]  # zeros, and not compressed


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
