"""A visit and the load that it begins with, when the load outlives it."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.core.drain import Action, Decision
from foreman.core.lease import Lease
from foreman.runtime import WorkerRuntime
from foreman.services import ledger, visit
from foreman.services.swap import Swapped
from foreman.store.runs import Claim
from foreman.store.swaps import SwapRecord
from tests.factories import NoDatabase
from tests.stack import wait_for

LEASE = Lease("gpu", 1)


class Rows:
    """What is written of the target, in words."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def begin_swap(self, connection: object, lease: Lease, queue: str, *, reason: str) -> None:
        self.written.append(f"loading {queue}")

    def forget_swap(self, connection: object, lease: Lease) -> None:
        self.written.append("loading nothing")

    def record_swap(self, connection: object, lease: Lease, line: Any) -> None:
        self.written.append(f"{line.reason}: {line.to_queue} after {line.jobs_served}")

    SwapRecord = SwapRecord


class Loads:
    """Loads end when they are let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = threading.Event()

    def bring(self, client: object, residency: str, **options: object) -> Swapped:
        self.begun.append(residency)
        assert self.may_end.wait(10)
        return Swapped(1.0, was_loaded=False)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    rows = Rows()
    for module in (visit, ledger):
        monkeypatch.setattr(module, "swaps", rows)
    return rows


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    loads = Loads()
    monkeypatch.setattr(visit, "bring", loads.bring)
    monkeypatch.setattr(visit, "_residency", lambda claim: claim.queue)
    return loads


@pytest.fixture
def served(rows: Rows, loads: Loads) -> visit.Visit:
    runtime: Any = SimpleNamespace(database=NoDatabase(), targets={"gpu": None})
    served = visit.Visit(cast(WorkerRuntime, runtime), keeps=frozenset)
    served.resume(LEASE, None)
    return served


def claim(queue: str) -> Claim:
    return cast(Claim, SimpleNamespace(queue=queue, model=queue, waited_s=0.0))


def begin(served: visit.Visit, queue: str, cause: str) -> None:
    served.begin(queue, Decision(Action.SWAP, queue, "why", cause))


def test_a_load_that_nobody_waits_for_any_more_makes_no_other_visit_ready(
    served: visit.Visit, rows: Rows, loads: Loads
) -> None:
    begin(served, "model.a", "first")
    served.serve()
    abandoned = served._begin_loading(claim("model.a"))
    assert abandoned

    begin(served, "model.b", "drained")  # its client has left
    loads.may_end.set()
    abandoned.result(10)
    loading = served._begin_loading(claim("model.b"))

    assert loading is not None
    loading.result(10)
    assert loads.begun == ["model.a", "model.b"]
    assert [line for line in rows.written if "after" in line] == [
        "first: model.a after 0",
        "drained: model.b after 1",
    ]


def test_a_visit_whose_job_was_gone_says_that_nothing_is_loaded(
    served: visit.Visit, rows: Rows, loads: Loads
) -> None:
    begin(served, "model.a", "first")
    served.note_unclaimed()
    assert rows.written == ["loading model.a", "loading nothing"]

    loading = served._begin_loading(claim("model.a"))  # another job of it was there
    assert loading
    wait_for(lambda: loads.begun)
    served.note_unclaimed()
    loads.may_end.set()
    loading.result(10)

    assert rows.written[2:] == ["loading model.a", "first: model.a after 0"]
