"""Which commits wait for the disk: those of jobs that were accepted with 202.

A deferred trigger writes down the setting under which each transaction commits: it runs as the
last thing before the commit itself. The database's own default is neither "on" nor "off", so that
a setting which outlives its transaction shows.
"""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from foreman.core.states import JobState, Source
from foreman.ids import new_id
from foreman.parsing import database_url as as_settings_read_it
from foreman.store import accept, jobs, retry, runs, upkeep
from foreman.store.db import Database
from tests.factories import accepted_job, new_job
from tests.integration.store.ground import Store

DEFAULT = "local"

WITNESS = """
CREATE TABLE commits (at serial, setting text);
CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO commits (setting) VALUES (current_setting('synchronous_commit'));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER witness AFTER INSERT ON events
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_commit();
"""


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store with one connection, so that each statement meets what the last one left."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(WITNESS)
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {DEFAULT}')
    database = Database(as_settings_read_it(database_url), pool_size=1)
    yield Store(database)
    database.close()


def commits(store: Store) -> list[str]:
    return [row["setting"] for row in store.sql("SELECT setting FROM commits ORDER BY at")]


def live(store: Store, source: Source) -> None:
    """A whole life: three transactions."""
    web_id = store.web() if source is Source.SYNC else None
    claim = store.working(source=source, web_id=web_id)
    store.do(runs.finish_run, claim.job_id, claim.fence, JobState.SUCCEEDED)


def test_the_commits_of_a_synchronous_job_do_not_wait_for_the_disk(store: Store) -> None:
    live(store, Source.SYNC)

    assert commits(store) == ["off"] * 3


def test_the_commits_of_a_job_accepted_with_202_wait_for_the_disk(store: Store) -> None:
    live(store, Source.ASYNC)

    assert commits(store) == ["on"] * 3


def test_accepting_and_copying_wait_for_the_disk(store: Store) -> None:
    given = [accepted_job() for _ in range(3)]
    store.do(accept.insert_jobs, given, is_published=False)
    store.do(jobs.cancel_job, given[0].id, reason="asked")
    before = len(commits(store))

    assert store.do(retry.copy_job, given[0].id, new_id())

    assert commits(store)[:3] == ["on"] * 3
    assert commits(store)[before:] == ["on"]


def test_a_setting_never_outlives_its_transaction(store: Store) -> None:
    for source in (Source.SYNC, Source.ASYNC, Source.SYNC):
        live(store, source)
        assert store.sql("SHOW synchronous_commit") == [{"synchronous_commit": DEFAULT}]

    assert commits(store) == ["off"] * 3 + ["on"] * 3 + ["off"] * 3


def test_a_setting_never_outlives_a_transaction_of_several_statements(store: Store) -> None:
    with store.database.transaction() as connection:
        jobs.insert_job(connection, new_job(source=Source.SYNC))
        assert connection.scalar(text("SHOW synchronous_commit")) == "off"

    assert store.sql("SHOW synchronous_commit") == [{"synchronous_commit": DEFAULT}]


def test_no_other_move_of_a_job_accepted_with_202_is_less_durable(store: Store) -> None:
    given_back = store.working()
    store.do(runs.give_back, given_back.job_id, given_back.fence, reason="shutting_down")
    store.do(jobs.cancel_job, given_back.job_id, reason="asked")
    late = store.queued().id
    store.set(late, "expires_at = now() - interval '1 ms'")
    store.do(jobs.expire_job, late)
    store.stalled()
    store.do(upkeep.reap_stalled)

    assert set(commits(store)) <= {"on", DEFAULT}


def test_a_sync_job_in_the_same_transaction_does_not_take_durability_from_another(
    store: Store,
) -> None:
    with store.database.transaction() as connection:
        jobs.insert_job(connection, new_job(source=Source.SYNC))
        jobs.insert_job(connection, new_job(source=Source.ASYNC))

    assert set(commits(store)) == {"on"}
