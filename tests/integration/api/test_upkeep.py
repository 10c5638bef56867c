"""The periodic tasks of a web process: its heart beats whatever else is busy or hangs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise

import pytest

from foreman.config import from_env
from foreman.runtime import WEB_POOL, WebRuntime
from foreman.services.upkeep import WebUpkeep
from foreman.simulation.process import SimulationProcess
from tests.fakes.silent import silent_server
from tests.integration.store.ground import Store
from tests.servers import PostgresServer
from tests.stack import wait_for

LEASE_S = 1.5


@pytest.fixture
def runtime(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[WebRuntime]:
    """A web process with two targets, of which one accepts connections and never answers."""
    with silent_server() as silent:
        environ = {
            "DATABASE_URL": postgres.create_database(template_url),
            "FOREMAN_BROKER_URL": new_broker_url("redis"),
            "FOREMAN_TARGETS": f"gpu={simulation.url},hangs={silent}",
            "FOREMAN_LEASE_S": str(LEASE_S),
        }
        runtime = WebRuntime(from_env(environ))
        yield runtime
        runtime.close()


@pytest.fixture
def started(runtime: WebRuntime, store: Store) -> Iterator[WebUpkeep]:
    upkeep = WebUpkeep(runtime)
    upkeep.start()
    yield upkeep
    upkeep.close()


def beats(store: Store, count: int) -> list[datetime]:
    """The next heartbeats, as they are seen in the rows."""
    seen: list[datetime] = []

    def see() -> bool:
        (row,) = store.sql("SELECT seen_at FROM web_processes")
        if row["seen_at"] not in seen:
            seen.append(row["seen_at"])
        return len(seen) == count

    wait_for(see, 30, f"{count} heartbeats")
    return seen


@pytest.mark.usefixtures("started")
def test_the_heart_beats_while_all_other_connections_to_the_database_are_busy(
    runtime: WebRuntime, store: Store
) -> None:
    with ExitStack() as busy:
        for _ in range(2 * WEB_POOL - 1):  # the last one is this test's
            busy.enter_context(runtime.database.statement())
        seen = beats(store, 6)

    gaps = [(after - before).total_seconds() for before, after in pairwise(seen)]
    assert max(gaps) < 2 * LEASE_S, gaps


def test_a_target_that_hangs_keeps_no_process_from_starting(
    runtime: WebRuntime, started: WebUpkeep
) -> None:
    assert runtime.catalog.reachable == ("gpu",)
    assert runtime.catalog.find("chain-a:latest")


def test_a_process_that_ends_says_so(runtime: WebRuntime, store: Store) -> None:
    upkeep = WebUpkeep(runtime)
    upkeep.start()
    assert len(store.sql("SELECT id FROM web_processes")) == 1

    upkeep.close()

    assert store.sql("SELECT id FROM web_processes") == []


@pytest.mark.usefixtures("started")
def test_what_waits_is_counted_and_foreseen_in_the_background(
    runtime: WebRuntime, store: Store
) -> None:
    store.declare("gpu")
    store.lease("gpu")
    store.queued(queue="model.chain-a%3Alatest", model="chain-a:latest")

    wait_for(lambda: runtime.room.count("model.chain-a%3Alatest") == 1)
    wait_for(lambda: [each.starts_p50_s for each in runtime.prospect.queue_reports] == [10.0])
    assert runtime.leased == {"gpu"}
