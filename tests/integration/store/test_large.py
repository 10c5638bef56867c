"""Bodies that are too large for one statement: as whole, and as all-or-nothing, as small ones."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from foreman.core.states import JobState
from foreman.errors import DatabaseUnavailable
from foreman.ids import new_id
from foreman.store import accept, jobs, payloads, retry, runs
from foreman.store.large import LARGE_BYTES
from tests.factories import accepted_job, new_job
from tests.integration.store.ground import Store

SIZES = [LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES, 3 * LARGE_BYTES + 7]


def body_of(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def claimed_body(store: Store, claim: runs.Claim) -> bytes | None:
    """As a worker gets it: with the claim, or after it."""
    if not claim.unread_bytes:
        return claim.body
    return store.do(payloads.read_body, claim.job_id, claim.unread_bytes)


@pytest.mark.parametrize("size", SIZES)
def test_a_body_comes_back_byte_for_byte_from_both_ways_in(store: Store, size: int) -> None:
    body, given = body_of(size), accepted_job(body=body_of(size)[::-1])

    sync = store.working(body=body, query="a=b", headers=[("X-Name", 'é"\\')])
    store.do(accept.insert_jobs, [given], is_published=True)
    kept = store.claim(given.id)

    assert claimed_body(store, sync) == body
    assert (sync.query, sync.headers) == ("a=b", [("X-Name", 'é"\\')])
    assert kept
    assert claimed_body(store, kept) == given.body
    assert kept.headers == given.headers
    assert store.events(given.id)[0] == (1, "queued", 0)


def test_a_large_body_that_cannot_be_stored_leaves_no_job(store: Store) -> None:
    job = new_job(body=body_of(2 * LARGE_BYTES), headers=[("X-Name", "\0")])

    with pytest.raises(psycopg.DataError):
        store.do(jobs.insert_job, job)

    assert store.sql("SELECT id FROM jobs") == []
    assert store.do(jobs.read_ending, job.id) is None  # the connection is of use again


def test_large_and_small_jobs_are_accepted_together_and_a_taken_key_stores_nothing(
    store: Store,
) -> None:
    key = {"key": "k", "fingerprint": b"f"}
    first, again = (accepted_job(body=body_of(size), **key) for size in (2 * LARGE_BYTES, 99))
    small, large = accepted_job(body=b"{}"), accepted_job(body=body_of(3 * LARGE_BYTES))
    repeated = accepted_job(body=body_of(2 * LARGE_BYTES), **key)

    new = store.do(accept.insert_jobs, [first, small, large], is_published=True)
    assert store.do(accept.insert_jobs, [again], is_published=True) == {}
    assert store.do(accept.insert_jobs, [repeated], is_published=True) == {}

    assert set(new) == {first.id, small.id, large.id}
    rows = store.sql("SELECT job_id, octet_length(body) AS size FROM payloads")
    assert {row["job_id"]: row["size"] for row in rows} == {
        job.id: len(job.body) for job in (first, small, large)
    }


def test_a_transaction_that_fails_later_takes_a_large_job_back(store: Store) -> None:
    given = accepted_job(body=body_of(2 * LARGE_BYTES))

    def fail() -> None:
        with store.database.transaction() as connection:
            accept.insert_jobs(connection, [given], is_published=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert store.sql("SELECT id FROM jobs") == []


def test_a_large_job_is_copied_for_a_retry(store: Store) -> None:
    claim = store.working(body=body_of(2 * LARGE_BYTES))
    store.do(jobs.cancel_job, claim.job_id, reason="asked")
    assert store.do(runs.finish_run, claim.job_id, claim.fence, JobState.CANCELLED)
    copy_id = new_id()

    assert store.do(retry.copy_job, claim.job_id, copy_id)

    copied = store.claim(copy_id)
    assert copied
    assert claimed_body(store, copied) == body_of(2 * LARGE_BYTES)


def test_a_body_that_was_removed_is_told_as_that(store: Store) -> None:
    claim = store.working(body=body_of(2 * LARGE_BYTES))
    store.sql("DELETE FROM payloads")

    assert store.do(payloads.read_body, claim.job_id, claim.unread_bytes) is None


def test_a_connection_that_breaks_while_a_body_is_read_is_replaced(store: Store) -> None:
    claim = store.working(body=body_of(2 * LARGE_BYTES))

    def read() -> None:
        with store.database.statement() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            store.sql("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
            payloads.read_body(connection, claim.job_id, claim.unread_bytes)

    with pytest.raises(DatabaseUnavailable):
        read()

    assert claimed_body(store, claim) == body_of(2 * LARGE_BYTES)


def test_an_error_of_a_statement_quotes_none_of_its_parameters(store: Store) -> None:
    with pytest.raises(DBAPIError) as caught:
        store.sql("SELECT 1 / (length(:prompt) - 11)", prompt="my-question")

    assert "division by zero" in str(caught.value)
    assert "my-question" not in str(caught.value)
