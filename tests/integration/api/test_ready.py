"""What `/readyz` says: it reads what is known here, and asks nobody."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from foreman import pulse
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime
from foreman.services.outlook import read_facts
from foreman.services.upkeep import WebUpkeep
from foreman.store.db import Database
from tests.integration.api.ground import Caller
from tests.integration.store.ground import Store


@pytest.fixture
def ready(runtime: WebRuntime, store: Store) -> Iterator[WebRuntime]:
    """A process that would serve requests, as far as it knows."""
    store.declare("gpu")
    store.lease("gpu")
    WebUpkeep(runtime)._beat()
    read_facts(runtime)
    yield runtime
    runtime.is_stopping = False


def problems(caller: Caller) -> dict[str, str]:
    answer = caller.get("/readyz")
    names = ("process", "database", "broker", "targets")
    found = {name: answer.json[name] for name in names if answer.json[name] != "ok"}
    assert answer.status_code == (503 if found else 200)
    return found


def test_it_is_ready_when_it_has_heard_of_everything(caller: Caller, ready: WebRuntime) -> None:
    assert problems(caller) == {}


def test_it_is_not_ready_when_what_it_reads_is_old(
    caller: Caller, ready: WebRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.monotonic() + 7.0
    monkeypatch.setattr(pulse, "time", SimpleNamespace(monotonic=lambda: later))

    assert problems(caller)["database"].startswith("has not answered for")


def test_it_is_not_ready_when_the_database_takes_no_writes(
    caller: Caller, ready: WebRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = Database(ready.settings.database_url, pool_size=1)
    with read_only.statement() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
    monkeypatch.setattr(ready, "heartbeat", read_only)

    with pytest.raises(DatabaseUnavailable):
        WebUpkeep(ready)._beat()

    assert problems(caller) == {"database": "takes no writes"}
    read_only.close()


def test_a_process_that_stops_is_not_ready(caller: Caller, ready: WebRuntime) -> None:
    ready.is_stopping = True

    assert problems(caller) == {"process": "is shutting down"}


def test_a_target_that_was_given_back_does_not_count(
    caller: Caller, ready: WebRuntime, store: Store
) -> None:
    store.sql("UPDATE targets SET lease_until = NULL, worker = NULL")

    read_facts(ready)

    assert problems(caller) == {"targets": "no worker drives a target"}
