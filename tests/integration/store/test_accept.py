"""Jobs accepted with 202: many in one statement, each with its key, in their order."""

from functools import partial

import pytest

from foreman.core.queues import JobClass
from foreman.core.states import JobState
from foreman.ids import new_id
from foreman.store import accept, job_rows, jobs, retry
from foreman.store.accept import AcceptedJob
from foreman.store.job_rows import Standing
from tests.factories import accepted_job as new
from tests.integration.store.ground import Store, race


def insert(store: Store, *given: AcceptedJob, is_published: bool = True) -> list[bool]:
    """Which of them are new."""
    times = store.do(accept.insert_jobs, given, is_published=is_published)
    return [job.id in times for job in given]


def test_many_jobs_in_one_statement_keep_their_order(store: Store) -> None:
    given = [new(body=str(number).encode()) for number in range(300)]

    assert all(insert(store, *given))

    rows = store.sql(
        "SELECT j.id, p.body FROM jobs j JOIN payloads p ON p.job_id = j.id ORDER BY j.created_at"
    )
    assert [row["id"] for row in rows] == [job.id for job in given]
    assert [bytes(row["body"]) for row in rows] == [job.body for job in given]
    assert store.events(given[7].id) == [(1, "queued", 0)]


@pytest.mark.parametrize("is_published", [True, False])
def test_a_job_says_who_owes_its_message(store: Store, is_published: bool) -> None:
    job = new()
    insert(store, job, is_published=is_published)

    row = store.row(job.id)
    assert (row["published_at"] is not None) is is_published
    assert row["publish_tries"] == int(is_published)


def test_a_worker_claims_it_as_any_other(store: Store) -> None:
    job = new(body=bytes(range(256)), endpoint="/v1/messages")
    insert(store, job)

    claim = store.claim(job.id)

    assert claim
    assert (claim.endpoint, claim.body, claim.web_id) == ("/v1/messages", job.body, None)
    assert claim.headers == job.headers


def test_a_key_that_is_taken_inserts_nothing_and_its_neighbours_are_new(store: Store) -> None:
    first = new(key="a", fingerprint=b"1")
    insert(store, first)

    assert insert(store, new(), new(key="a", fingerprint=b"2"), new(key="b", fingerprint=b"3")) == [
        True, False, True,
    ]  # fmt: skip

    holder = store.do(accept.holders_of, ["a", "c"])
    assert holder == {"a": accept.KeyHolder(first.id, b"1")}
    assert len(store.sql("SELECT job_id FROM payloads")) == 3


def test_of_two_jobs_with_one_key_in_one_statement_the_first_is_new(store: Store) -> None:
    twins = [new(key="a", fingerprint=b"1"), new(key="a", fingerprint=b"1")]

    assert insert(store, *twins) == [True, False]


def test_a_race_of_batches_makes_each_job_once(store: Store) -> None:
    for number in range(5):
        keys = [f"{number} {line}" for line in range(50)]
        batches = [[new(key=key, fingerprint=b"1") for key in keys] for _ in range(6)]

        results = race(*(partial(insert, store, *batch) for batch in batches))

        assert [sum(column) for column in zip(*results, strict=True)] == [1] * 50
    assert len(store.sql("SELECT id FROM jobs")) == 250


def test_a_copy_is_made_of_an_ended_job_alone(store: Store) -> None:
    job = new(ttl_s=60.0)
    insert(store, job)

    assert not store.do(retry.copy_job, job.id, new_id())
    store.do(jobs.cancel_job, job.id, reason="asked")
    assert store.do(retry.copy_job, job.id, copy_id := new_id())

    assert (store.state(copy_id), store.state(job.id)) == (JobState.QUEUED, JobState.CANCELLED)
    assert store.row(copy_id)["retry_of"] == job.id


def test_where_jobs_stand_is_read_in_one_statement(store: Store) -> None:
    waiting, ended = new(), new()
    insert(store, waiting, ended)
    store.do(jobs.cancel_job, ended.id, reason="asked")

    standings = store.do(job_rows.read_standings, [waiting.id, ended.id, new_id()])

    assert standings == {
        waiting.id: Standing(1, JobState.QUEUED),
        ended.id: Standing(2, JobState.CANCELLED),
    }


def test_the_place_in_line_counts_what_is_taken_before(store: Store) -> None:
    batch = [new() for _ in range(3)]
    interactive = [new(job_class=JobClass.INTERACTIVE) for _ in range(2)]
    elsewhere = new(queue="model.other%3Alatest")
    insert(store, *batch, *interactive, elsewhere)
    store.claim(batch[0].id)

    def ahead(job: AcceptedJob) -> int:
        row = store.do(job_rows.read_job, job.id)
        assert row
        return store.do(job_rows.count_ahead, row)

    assert [ahead(job) for job in (*batch[1:], *interactive, elsewhere)] == [2, 3, 0, 1, 0]
