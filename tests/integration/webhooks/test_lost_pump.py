"""The relay's pump, killed between an attempt and its record: the same bytes come once more."""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from foreman.parsing import database_url as as_settings_read_it
from foreman.store.db import Database
from tests.fakes import receiver as fakes
from tests.fakes.receiver import Got
from tests.integration.store.ground import Store
from tests.integration.store.ledger import Ledger
from tests.integration.webhooks.conftest import NewReceiver
from tests.stack import Process, wait_for

NewRelay = Callable[[], Process]


@pytest.fixture
def own_ledger(database_url: str) -> Iterator[Ledger]:
    database = Database(as_settings_read_it(database_url), pool_size=2)
    yield Ledger(Store(database))
    database.close()


@pytest.fixture
def new_relay(database_url: str, new_broker_url: Callable[[str], str]) -> Iterator[NewRelay]:
    env = {name: value for name, value in os.environ.items() if "FOREMAN" not in name} | {
        "DATABASE_URL": database_url,
        "FOREMAN_BROKER_URL": new_broker_url("redis"),
        "FOREMAN_WEBHOOK_ALLOW": "127.0.0.0/8",
        "PYTHONUNBUFFERED": "1",
    }
    with tempfile.TemporaryDirectory(prefix="foreman-relay-") as logs, ExitStack() as started:

        def start() -> Process:
            relay = Process("relay", [sys.executable, "-m", "foreman", "relay"], env, Path(logs))
            started.callback(relay.kill)
            return relay

        yield start


def test_a_pump_killed_after_its_post_costs_one_duplicate(
    own_ledger: Ledger, new_receiver: NewReceiver, new_relay: NewRelay
) -> None:
    relays: list[Process] = []

    def kill_the_sender(_: socket.socket, got: Got) -> None:
        relays[0].kill()

    receiver = new_receiver(fakes.in_turn(kill_the_sender, fakes.ok))
    relays.append(new_relay())
    job_id = own_ledger.ended(url=receiver.url)
    receiver.wait(1, limit_s=30)
    wait_for(lambda: not relays[0].is_running, what="the relay is dead")
    assert own_ledger.states(job_id) == ["pending"] * 3

    receiver.answer = fakes.ok
    new_relay()
    own_ledger.pass_time()  # of the dead one's lease
    wait_for(lambda: own_ledger.states(job_id) == ["succeeded"] * 3, 30, "all are delivered")

    first, *others = receiver.got
    assert (others[0].id, others[0].body) == (first.id, first.body)
    assert len({got.id for got in others}) == len(others) == 3


def test_a_relay_that_is_told_to_stop_ends(
    own_ledger: Ledger, new_receiver: NewReceiver, new_relay: NewRelay
) -> None:
    receiver = new_receiver()
    relay = new_relay()
    own_ledger.ended(url=receiver.url)
    receiver.wait(3, limit_s=30)

    relay.stop()

    assert relay.process.returncode == 0
