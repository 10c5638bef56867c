"""A worker's leases when the database says nothing at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.core.lease import Lease
from foreman.errors import ForemanError, JobCancelled, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.services import keep
from foreman.services.run import Runner
from foreman.store import renewals, targets
from tests.factories import JOB_ID
from tests.stack import wait_for


class Database:
    """Answers until it is silent; then a statement hangs."""

    def __init__(self) -> None:
        self.is_silent = False
        self.goes_on = threading.Event()

    @contextmanager
    def statement(self) -> Iterator[None]:
        if self.is_silent:
            self.goes_on.wait(10)
        yield None


class Runs:
    def __init__(self) -> None:
        self.stopped_by: list[ForemanError] = []

    def running(self) -> dict[Any, Any]:
        return {}

    def stop_all(self, error: ForemanError) -> None:
        self.stopped_by.append(error)


def test_a_lease_is_lost_in_time_although_its_renewal_hangs_and_given_back_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "acquire_lease", lambda *_, **__: Lease("gpu", 1))
    monkeypatch.setattr(targets, "renew_lease", lambda *_, **__: True)
    released: list[Lease] = []
    monkeypatch.setattr(targets, "release_lease", lambda _, lease: released.append(lease))
    database, running = Database(), Runs()
    settings = SimpleNamespace(lease_s=0.2, web_silence_s=1)
    runtime: Any = SimpleNamespace(
        database=database, worker="worker1", targets={"gpu": None}, settings=settings
    )
    keeper = keep.Keeper(cast(WorkerRuntime, runtime), cast(Runner, running))
    keeper.acquire()
    keeper.beat()
    keeper.check()
    assert (keeper.lease, running.stopped_by) == (Lease("gpu", 1), [])

    database.is_silent = True
    beating = threading.Thread(target=keeper.beat)
    beating.start()

    def is_lost() -> bool:
        keeper.check()
        return keeper.lease is None

    wait_for(is_lost)

    assert beating.is_alive()
    assert [type(error) for error in running.stopped_by] == [WorkerLost]

    database.goes_on.set()
    beating.join()

    # The renewal has come through after all: without this nobody would have the target for long.
    assert (keeper.lease, released) == (None, [Lease("gpu", 1)])


def keeper_of(database: Database, running: Any) -> keep.Keeper:
    settings = SimpleNamespace(lease_s=15.0, web_silence_s=30.0)
    runtime: Any = SimpleNamespace(
        database=database, worker="worker1", targets={"gpu": None}, settings=settings
    )
    return keep.Keeper(cast(WorkerRuntime, runtime), cast(Runner, running))


class OneRun(Runs):
    """One run, and what stopped it."""

    def __init__(self) -> None:
        super().__init__()
        self.run = SimpleNamespace(
            claim=SimpleNamespace(fence=1),
            sink=SimpleNamespace(tokens=None),
            stop=self.stopped_by.append,
        )

    def running(self) -> dict[Any, Any]:
        return {JOB_ID: self.run}


@pytest.mark.parametrize(
    ("renewal", "stopped_by", "again_s"),
    [
        (renewals.Renewal(False, True), [], 5.0),
        (renewals.Renewal(False, True, is_renewed=False), [], keep.SKIPPED_AGAIN_S),
        (renewals.Renewal(True, True, is_renewed=False), [JobCancelled], keep.SKIPPED_AGAIN_S),
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
    keeper = keeper_of(Database(), running)

    keeper.renew_runs()

    assert [type(error) for error in running.stopped_by] == stopped_by
    assert keeper.renew_every_s == again_s


def test_runs_that_cannot_be_renewed_delay_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    renewed: list[Lease] = []

    def renew(_: object, lease: Lease, **__: object) -> bool:
        renewed.append(lease)
        return True

    def wait(*_: object, **__: object) -> dict[Any, Any]:
        goes_on.wait(10)
        return {}

    monkeypatch.setattr(renewals, "renew_runs", wait)
    monkeypatch.setattr(targets, "acquire_lease", lambda *_, **__: Lease("gpu", 1))
    monkeypatch.setattr(targets, "renew_lease", renew)
    keeper = keeper_of(Database(), OneRun())
    keeper.acquire()
    waiting = threading.Thread(target=keeper.renew_runs)
    waiting.start()

    keeper.beat()

    assert waiting.is_alive()
    assert renewed == [Lease("gpu", 1)]
    goes_on.set()
    waiting.join()
