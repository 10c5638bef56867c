"""A worker's leases when the database says nothing at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.errors import ForemanError, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.services import keep
from foreman.services.run import Runner
from foreman.store import runs, targets
from foreman.store.targets import Lease
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
    monkeypatch.setattr(runs, "renew_runs", lambda *_, **__: {})
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
