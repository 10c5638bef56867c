"""What is too old is removed, and nothing else."""

import pytest
from sqlalchemy import text

from foreman.core.states import JobState, Source
from foreman.services.retain import retain
from foreman.store import retention, runs
from foreman.store.db import Database
from foreman.store.produced import Produced, keep_artifacts
from foreman.store.runs import Claim
from tests.integration.store.ground import Store, race
from tests.integration.store.ledger import Ledger, settings

PARTS = ("payloads", "events", "artifacts", "idempotency_keys")


def ended(store: Store, days_ago: float, source: Source = Source.ASYNC) -> Claim:
    """A job that was made and has ended so long ago, with all that a job can have."""
    claim = store.working(source=source)
    with store.database.transaction() as connection:
        body = Produced("response.json", "application/json", b"{}")
        keep_artifacts(connection, claim.job_id, claim.fence, [body])
        runs.finish_run(connection, claim.job_id, claim.fence, JobState.SUCCEEDED)
    store.sql(
        "INSERT INTO idempotency_keys (key, fingerprint, job_id) VALUES (:key, '', :id)",
        key=str(claim.job_id),
        id=claim.job_id,
    )
    age(store, claim, days_ago)
    return claim


def age(store: Store, claim: Claim, days: float) -> None:
    ago = f"now() - interval '{days} days'"
    store.sql(
        f"UPDATE jobs SET created_at = {ago},"
        f" ended_at = CASE WHEN ended_at IS NULL THEN NULL ELSE {ago} END WHERE id = :id",
        id=claim.job_id,
    )


def left(store: Store, table: str) -> int:
    return int(store.sql(f"SELECT count(*) FROM {table}")[0]["count"])


def test_an_old_job_goes_with_all_it_had(store: Store) -> None:
    ended(store, days_ago=31)
    young = ended(store, days_ago=29)

    assert store.do(retention.remove_jobs, older_than_days=30) == 1

    assert [row["id"] for row in store.sql("SELECT id FROM jobs")] == [young.job_id]
    assert {table: left(store, table) for table in PARTS} == {
        "payloads": 1, "events": 3, "artifacts": 1, "idempotency_keys": 1,
    }  # fmt: skip


def test_a_job_that_has_not_ended_is_kept_whatever_its_age(store: Store) -> None:
    age(store, store.working(), 400)

    assert store.do(retention.remove_jobs, older_than_days=30) == 0


def test_a_job_is_kept_from_its_end_on(store: Store) -> None:
    claim = ended(store, days_ago=400)
    store.set(claim.job_id, "ended_at = now() - interval '1 day'")

    assert store.do(retention.remove_jobs, older_than_days=30) == 0


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_job_is_kept_until_its_receiver_is_owed_nothing(store: Store, state: str) -> None:
    ledger = Ledger(store)
    job_id = ledger.ended()
    ago = "now() - interval '40 days'"
    store.set(job_id, f"created_at = {ago}, ended_at = {ago}")
    store.sql("UPDATE deliveries SET state = 'succeeded' WHERE seq < 3")

    assert store.do(retention.remove_jobs, older_than_days=30) == 0

    store.sql("UPDATE deliveries SET state = :state WHERE seq = 3", state=state)
    assert store.do(retention.remove_jobs, older_than_days=30) == 1
    assert left(store, "deliveries") == 0


# A removal of more rows than this takes longer than the time that a statement has.
ROWS_IN_TIME = 130


@pytest.fixture
def slow_deletes(database: Database) -> Database:
    """A database where deleting takes long by the number of rows."""
    with database.statement() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF (SELECT count(*) FROM gone) > {ROWS_IN_TIME} THEN"
                " RAISE query_canceled; END IF;"
                " RETURN NULL; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER slow AFTER DELETE ON swaps REFERENCING OLD TABLE AS gone"
                " FOR EACH STATEMENT EXECUTE FUNCTION slow()"
            )
        )
    return database


def test_a_batch_that_takes_too_long_is_halved(slow_deletes: Database) -> None:
    store = Store(slow_deletes)
    store.sql(
        "INSERT INTO swaps (target, to_queue, reason, jobs_served, at)"
        " SELECT 'gpu', 'q', 'first', 0, now() - interval '40 days' FROM generate_series(1, 300)"
    )

    removed = retain(slow_deletes, settings())

    assert removed["swaps"] == 300
    assert left(store, "swaps") == 0


def test_a_fraction_of_a_day_is_one(store: Store) -> None:
    ended(store, days_ago=0.2)

    assert store.do(retention.remove_jobs, older_than_days=0.25) == 0
    assert store.do(retention.remove_jobs, older_than_days=0.1) == 1


def test_the_request_of_an_old_synchronous_job_goes_and_its_row_stays(store: Store) -> None:
    old = ended(store, 2, Source.SYNC)
    others = [ended(store, 0.5, Source.SYNC), ended(store, 2), store.working(source=Source.SYNC)]

    assert store.do(retention.remove_sync_payloads, older_than_days=1) == 1

    kept = {row["job_id"] for row in store.sql("SELECT job_id FROM payloads")}
    assert kept == {each.job_id for each in others}
    assert store.state(old.job_id) is JobState.SUCCEEDED
    assert store.do(retention.remove_sync_payloads, older_than_days=1) == 0


def test_old_lines_of_the_ledger_go(store: Store) -> None:
    store.sql(
        "INSERT INTO swaps (target, to_queue, reason, jobs_served, at)"
        " SELECT 'gpu', 'q', 'first', 0, now() - days * interval '1 day'"
        " FROM generate_series(1, 40) days"
    )

    assert store.do(retention.remove_swaps, older_than_days=30.5) == 10
    assert left(store, "swaps") == 30


def test_many_go_a_batch_at_a_time_and_two_that_remove_do_not_wait(store: Store) -> None:
    store.sql(
        "INSERT INTO jobs (id, source, endpoint, model, queue, state, max_attempts,"
        " created_at, ended_at) SELECT gen_random_uuid(), 'sync', '/api/chat', 'm', 'q',"
        " 'succeeded', 1, now() - interval '40 days', now() - interval '40 days'"
        " FROM generate_series(1, 1200)"
    )

    def turn() -> int:
        return store.do(retention.remove_jobs, older_than_days=30)

    removed = race(turn, turn)

    assert all(0 < count <= retention.BATCH for count in removed)
    assert turn() <= retention.BATCH
    assert left(store, "jobs") < 1200 - sum(removed)


QUEUE = "model.m%3Alatest~0123456789abcdef"


def cost(store: Store, *, served_days_ago: float | None) -> None:
    """What the residency has cost on a target, where its last visit ended so long ago."""
    ago = "NULL" if served_days_ago is None else f"now() - interval '{served_days_ago} days'"
    store.sql(
        "INSERT INTO residency_costs (target, queue, model, swap_s, served_until)"
        f" VALUES ('gpu', :queue, 'm:latest', 5, {ago})",
        queue=QUEUE,
    )


@pytest.mark.parametrize("served_days_ago", [31, None])
def test_what_an_unused_residency_has_cost_is_removed(
    store: Store, served_days_ago: float | None
) -> None:
    cost(store, served_days_ago=served_days_ago)
    ended(store, days_ago=1)  # of another residency

    assert store.do(retention.remove_costs, older_than_days=30) == 1
    assert left(store, "residency_costs") == 0


@pytest.mark.parametrize("state", ["queued", "working", "succeeded"])
def test_what_a_residency_costs_is_kept_while_it_has_jobs(store: Store, state: str) -> None:
    cost(store, served_days_ago=31)
    if state == "queued":
        store.queued(queue=QUEUE)
    else:
        claim = store.working(queue=QUEUE)
        if state == "succeeded":
            store.set(claim.job_id, "state = 'succeeded', status = 200, ended_at = now()")

    assert store.do(retention.remove_costs, older_than_days=30) == 0


def test_what_a_residency_costs_is_kept_while_it_is_loaded_and_some_time_after(
    store: Store,
) -> None:
    cost(store, served_days_ago=29)
    assert store.do(retention.remove_costs, older_than_days=30) == 0

    store.sql("UPDATE residency_costs SET served_until = NULL")
    store.declare("gpu")
    store.sql("INSERT INTO residents (target, queue) VALUES ('gpu', :queue)", queue=QUEUE)
    assert store.do(retention.remove_costs, older_than_days=30) == 0


def test_two_processes_note_the_same_queues_without_waiting_in_a_ring(store: Store) -> None:
    queues = [f"model.q{number}" for number in range(40)]
    for number in range(400):
        claim = store.working(queue=queues[number * 7 % 40])
        age(store, claim, 31)
        store.set(claim.job_id, "state = 'succeeded', ended_at = now() - interval '31 days'")

    def remove() -> int:
        return sum(store.do(retention.remove_jobs, older_than_days=30, limit=20) for _ in range(20))

    assert sum(race(remove, remove)) == 400

    noted = store.sql("SELECT queue, job_class, pinned_target FROM old_queues ORDER BY queue")
    assert [tuple(row.values()) for row in noted] == [
        (queue, "interactive", "") for queue in sorted(queues)
    ]
