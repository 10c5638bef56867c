"""What a worker tells of its target reaches the rows, in order, however late."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Connection

from foreman.core.lease import Lease
from foreman.core.residents import LoadRow, ResidentRow
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.scheduling.room import Room
from foreman.store import residents
from foreman.store.db import Database
from foreman.worker import told
from foreman.worker.effects import RecordLoad, SaveRoom, TellHealth, TellLoading, TellResidents
from foreman.worker.told import Teller
from tests.integration.store.ground import Store

A, B = "model.a%3Alatest", "model.b%3Alatest"


class Outage:
    """A database that does not answer for as long as `is_on`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_on = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.is_on:
            raise DatabaseUnavailable
        with self._database.transaction() as connection:
            yield connection


@pytest.fixture
def outage(store: Store) -> Outage:
    return Outage(store.database)


@pytest.fixture
def teller(outage: Outage) -> Teller:
    return Teller(cast(WorkerRuntime, SimpleNamespace(database=outage)))


@pytest.fixture
def lease(store: Store) -> Lease:
    store.declare("gpu")
    return store.lease("gpu")


def residents_of(lease: Lease, *queues: str) -> TellResidents:
    return TellResidents(lease, tuple(ResidentRow(queue, queue, 5, False) for queue in queues))


def load(lease: Lease, queue: str) -> RecordLoad:
    row = LoadRow(
        queue=queue, model="m", unloaded=(), reason="fits", cost_s=2.0, was_loaded=False,
        head_wait_s=None, jobs_served=0, lingers=0, lingers_answered=0, linger_wasted_s=0.0,
    )  # fmt: skip
    return RecordLoad(lease, row)


def loaded(store: Store) -> dict[str, bool]:
    """Each resident, and whether it is loading."""
    return {row["queue"]: row["is_loading"] for row in store.sql("SELECT * FROM residents")}


def recorded(store: Store) -> list[str]:
    return [row["to_queue"] for row in store.sql("SELECT to_queue FROM swaps ORDER BY id")]


def test_everything_that_is_told_is_written(store: Store, teller: Teller, lease: Lease) -> None:
    teller.tell(TellLoading(lease, A, "it waits"))
    assert loaded(store) == {A: True}
    teller.tell(load(lease, A))
    teller.tell(residents_of(lease, A))
    teller.tell(SaveRoom(lease, Room(seen_bytes=5)))
    teller.tell(TellHealth(lease, "it hangs"))

    (row,) = store.sql("SELECT * FROM targets")
    assert loaded(store) == {A: False}
    assert recorded(store) == [A]
    assert (row["reason"], row["sick_reason"], row["room"]["seen_bytes"]) == (
        "it waits", "it hangs", 5,
    )  # fmt: skip


def test_what_the_database_did_not_take_is_written_later_in_its_order(
    store: Store, teller: Teller, outage: Outage, lease: Lease
) -> None:
    outage.is_on = True
    for queue in (A, B):
        teller.tell(TellLoading(lease, queue, "it waits"))
        teller.tell(load(lease, queue))
        teller.tell(residents_of(lease, queue))
    outage.is_on = False

    teller.flush()

    assert recorded(store) == [A, B]
    assert loaded(store) == {B: False}


def test_what_comes_next_takes_what_was_left_with_it(
    store: Store, teller: Teller, outage: Outage, lease: Lease
) -> None:
    outage.is_on = True
    teller.tell(load(lease, A))
    outage.is_on = False

    teller.tell(residents_of(lease, A))

    assert recorded(store) == [A]


def test_of_the_state_only_the_newest_is_kept_and_of_loads_the_newest_so_many(
    store: Store, outage: Outage, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "UNTOLD_LIMIT", 3)
    teller = Teller(cast(WorkerRuntime, SimpleNamespace(database=outage)))
    outage.is_on = True
    for number in range(9):
        teller.tell(load(lease, f"model.{number}"))
        teller.tell(residents_of(lease, f"model.{number}"))
    outage.is_on = False

    teller.flush()

    assert recorded(store) == ["model.7", "model.8"]
    assert loaded(store) == {"model.8": False}


def test_a_defect_is_not_tried_again(
    store: Store, teller: Teller, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(residents, "save_room", fail)
        with pytest.raises(RuntimeError):
            teller.tell(SaveRoom(lease, Room()))

    teller.tell(load(lease, A))
    assert recorded(store) == [A]
