"""Jobs that have run, read as arrivals."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.ids import new_id
from foreman.store.history import recorded_arrivals
from foreman.store.models import Job
from tests.integration.store.ground import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ran(store: Store, came_s: float, *, run_s: float | None = 4.0, **columns: object) -> None:
    """A job that came so long after noon, waited for 10 s, and ran, unless `run_s` is None."""
    job = store.queued(id=new_id(), queue="model.m")
    came_at = NOON + timedelta(seconds=came_s)
    times = {"created_at": came_at, "queued_at": came_at}
    if run_s is not None:
        times["working_at"] = came_at + timedelta(seconds=10)
        times["ended_at"] = times["working_at"] + timedelta(seconds=run_s)

    def rewrite(connection: Connection) -> None:
        connection.execute(update(Job).where(Job.id == job.id).values(**times, **columns))

    store.do(rewrite)


def recorded(store: Store) -> list[Arrival]:
    return store.do(
        lambda connection: list(
            recorded_arrivals(connection, since=NOON, until=NOON + timedelta(hours=1))
        )
    )


def test_jobs_that_have_run_are_arrivals_in_order_of_time(store: Store) -> None:
    ran(store, 60, job_class="batch")
    ran(store, 5)

    first, second = recorded(store)

    assert second.at - first.at == 55
    assert first == Arrival(first.at, "model.m", JobClass.INTERACTIVE, 4.0)
    assert second.job_class is JobClass.BATCH


def test_the_load_of_a_model_is_not_a_part_of_the_run(store: Store) -> None:
    ran(store, 5, run_s=4.0, load_s=3.5)

    assert [each.seconds for each in recorded(store)] == [pytest.approx(0.5)]


def test_what_has_not_run_or_came_at_another_time_is_left_out(store: Store) -> None:
    ran(store, 5, run_s=None)
    ran(store, -1)
    ran(store, 3600)

    assert recorded(store) == []
