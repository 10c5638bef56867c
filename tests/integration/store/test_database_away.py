"""A database that was away for a while: nobody could be heard of, and nobody is taken for dead."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import text

from foreman.core.states import JobState, Source
from foreman.errors import DatabaseUnavailable
from foreman.runtime import RelayRuntime
from foreman.services import reap
from foreman.services.reap import Reaper
from foreman.store import jobs
from foreman.store.db import Database
from tests.factories import new_job
from tests.integration.store.ground import Store

LEASE_S = 30.0


class Clock:
    """The process's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reap, "time", clock)
    return clock


def reaper_of(database: Database) -> Reaper:
    settings = SimpleNamespace(lease_s=LEASE_S, web_silence_s=2 * LEASE_S)
    runtime: Any = SimpleNamespace(database=database, settings=settings, senders=None)
    return Reaper(cast(RelayRuntime, runtime))


def test_the_reaper_waits_two_leases_after_it_was_without_the_database(
    store: Store, clock: Clock
) -> None:
    web_id = store.web()
    waiting = store.queued(web_id=web_id, source=Source.SYNC)
    reaper = reaper_of(store.database)
    reaper.reap()
    stalled = store.stalled()

    clock.now += LEASE_S  # no turn came through in this time
    store.silence(web_id, 2.5 * LEASE_S)
    for _ in range(6):
        assert reaper.reap() == []
        clock.now += 2 * LEASE_S / 6

    assert {each.job_id for each in reaper.reap()} == {waiting.id, stalled.job_id}
    assert store.state(waiting.id) is JobState.CANCELLED


def test_a_turn_of_the_reaper_after_another_believes_what_it_sees(
    store: Store, clock: Clock
) -> None:
    web_id = store.web()
    waiting = store.queued(web_id=web_id, source=Source.SYNC)
    reaper = reaper_of(store.database)
    store.silence(web_id, 2.5 * LEASE_S)
    clock.now += 1

    assert [each.job_id for each in reaper.reap()] == [waiting.id]


def test_a_job_is_a_beat_of_the_web_process_that_accepts_it(store: Store) -> None:
    web_id, other = store.web(), store.web()
    store.silence(web_id, 3 * LEASE_S)
    store.silence(other, 3 * LEASE_S)

    store.do(jobs.insert_job, new_job(web_id=web_id))

    ages = store.sql("SELECT id FROM web_processes WHERE seen_at > now() - interval '10 s'")
    assert ages == [{"id": web_id}]


def test_a_database_that_takes_no_writes_is_unavailable(store: Store) -> None:
    def write() -> None:
        with store.database.transaction() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text("DELETE FROM web_processes"))

    with pytest.raises(DatabaseUnavailable):
        write()

    store.database.check()


def test_a_database_without_tables_is_unavailable(store: Store) -> None:
    def read() -> None:
        with store.database.transaction() as connection:
            connection.execute(text("SET LOCAL search_path = pg_temp"))
            connection.execute(text("SELECT * FROM jobs"))

    with pytest.raises(DatabaseUnavailable):
        read()
