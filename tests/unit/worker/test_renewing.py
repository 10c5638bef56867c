"""A worker's leases: renewed, lost, given back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.core.lease import Lease
from foreman.errors import DatabaseUnavailable, ForemanError, JobCancelled, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.scheduling.room import Room
from foreman.store import renewals, targets
from foreman.worker.effects import Acquire, Release
from foreman.worker.events import Event, Leased, LeaseLost, NotLeased, Renewed
from foreman.worker.live import LiveRuns
from foreman.worker.renewing import FAILED_AGAIN_S, SKIPPED_AGAIN_S, RunLeases, TargetLease
from tests.factories import JOB_ID

LEASE = Lease("gpu", 1)


class Database:
    """Answers until it is away, or silent: then a statement hangs."""

    def __init__(self) -> None:
        self.is_away = False
        self.is_silent = False
        self.goes_on = threading.Event()

    @contextmanager
    def statement(self) -> Iterator[None]:
        if self.is_away:
            raise DatabaseUnavailable("away")
        if self.is_silent:
            assert self.goes_on.wait(10)
        yield None


class Ground:
    """A target's lease over a row that is scripted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = Database()
        self.acquired: Leased | NotLeased = Leased(LEASE, 1.0, (), Room())
        self.is_held = True
        self.released: list[Lease] = []
        self.told: list[Event] = []
        monkeypatch.setattr(targets, "renew_lease", lambda *_, **__: self.is_held)
        self.lease = TargetLease(
            runtime(self.database),
            self.told.append,
            lambda effect: self.acquired,
            lambda effect: self.released.append(effect.lease),
        )


def runtime(database: Database) -> WorkerRuntime:
    settings = SimpleNamespace(lease_s=15.0, web_silence_s=30.0)
    made: Any = SimpleNamespace(
        database=database,
        leases=database,
        worker="worker1",
        targets={"gpu": None},
        settings=settings,
    )
    return cast(WorkerRuntime, made)


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(monkeypatch)


def test_a_lease_is_renewed_until_somebody_else_has_it(ground: Ground) -> None:
    ground.lease.renew()
    assert ground.told == []

    assert ground.lease.acquire(Acquire()) == ground.acquired
    began_at = time.monotonic()
    ground.lease.renew()
    renewed = ground.told.pop()
    assert isinstance(renewed, Renewed)
    assert renewed.lease == LEASE
    assert renewed.began_at >= began_at
    assert ground.lease.every_s() == 5.0

    ground.database.is_away = True
    ground.lease.renew()
    assert (ground.told, ground.lease.every_s()) == ([], FAILED_AGAIN_S)

    ground.database.is_away = False
    ground.is_held = False
    ground.lease.renew()
    ground.lease.renew()
    assert ground.told == [LeaseLost(LEASE)]


def test_nothing_is_renewed_that_was_not_leased_or_is_given_back(ground: Ground) -> None:
    leased, ground.acquired = ground.acquired, NotLeased()
    assert ground.lease.acquire(Acquire()) == NotLeased()
    ground.lease.renew()
    ground.lease.release_held()

    ground.acquired = leased
    ground.lease.acquire(Acquire())
    ground.lease.release(Release(LEASE))
    ground.lease.release_held()
    ground.lease.renew()

    assert (ground.told, ground.released) == ([], [LEASE])


def test_what_is_held_at_the_end_is_given_back(ground: Ground) -> None:
    ground.lease.acquire(Acquire())
    ground.lease.release(Release(Lease("gpu", 0)))  # an older one
    ground.lease.release_held()

    assert ground.released == [Lease("gpu", 0), LEASE]


def test_a_renewal_that_comes_through_late_is_told_with_its_beginning(ground: Ground) -> None:
    ground.lease.acquire(Acquire())
    ground.database.is_silent = True
    renewing = threading.Thread(target=ground.lease.renew)
    renewing.start()
    assert ground.told == []

    ground.database.goes_on.set()
    renewing.join(10)

    # The worker's thread has given the lease up meanwhile, or not: it compares.
    assert [type(event) for event in ground.told] == [Renewed]


class OneRun:
    """One claimed run, and what stopped it."""

    def __init__(self) -> None:
        self.stopped_by: list[ForemanError] = []
        self.run = SimpleNamespace(
            claim=SimpleNamespace(fence=1),
            sink=SimpleNamespace(tokens=None),
            stop=self.stopped_by.append,
        )

    def claimed(self) -> dict[Any, Any]:
        return {JOB_ID: self.run}


@pytest.mark.parametrize(
    ("renewal", "stopped_by", "again_s"),
    [
        (renewals.Renewal(False, True), [], 5.0),
        (renewals.Renewal(False, True, is_renewed=False), [], SKIPPED_AGAIN_S),
        (renewals.Renewal(True, True, is_renewed=False), [JobCancelled], SKIPPED_AGAIN_S),
        (renewals.Renewal(False, False), [JobCancelled], 5.0),
        (None, [WorkerLost], 5.0),
    ],
)
def test_a_run_whose_row_is_locked_is_not_lost_and_is_renewed_again_soon(
    monkeypatch: pytest.MonkeyPatch,
    renewal: renewals.Renewal | None,
    stopped_by: list[type[ForemanError]],
    again_s: float,
) -> None:
    answer = {JOB_ID: renewal} if renewal else {}
    monkeypatch.setattr(renewals, "renew_runs", lambda *_, **__: answer)
    running = OneRun()
    leases = RunLeases(runtime(Database()), cast(LiveRuns, running))

    leases.renew()

    assert [type(error) for error in running.stopped_by] == stopped_by
    assert leases.every_s() == again_s


def test_runs_are_left_alone_while_the_database_is_away() -> None:
    running, database = OneRun(), Database()
    database.is_away = True
    leases = RunLeases(runtime(database), cast(LiveRuns, running))

    leases.renew()

    assert (running.stopped_by, leases.every_s()) == ([], FAILED_AGAIN_S)


def test_after_a_time_without_the_database_a_silent_web_process_may_still_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unheard = {JOB_ID: renewals.Renewal(False, has_listener=False)}
    monkeypatch.setattr(renewals, "renew_runs", lambda *_, **__: unheard)
    running, database = OneRun(), Database()
    leases = RunLeases(runtime(database), cast(LiveRuns, running))
    database.is_away = True
    leases.renew()

    database.is_away = False
    leases.renew()
    assert (running.stopped_by, leases.every_s()) == ([], 5.0)

    later = time.monotonic() + 31
    monkeypatch.setattr(time, "monotonic", lambda: later)
    leases.renew()
    assert [type(error) for error in running.stopped_by] == [JobCancelled]
