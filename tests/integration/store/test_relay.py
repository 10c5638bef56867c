"""The relay over a real database and a broker in memory: a little in each transaction."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from celery import Celery
from kombu import Connection

from foreman.adapters.broker import make_celery
from foreman.core.queues import Wakeup
from foreman.services import relay as relays
from foreman.services.relay import Relay
from foreman.store import upkeep
from foreman.store.db import Database
from tests.integration.store.ground import Store
from tests.integration.store.ledger import settings


class Runtime:
    """The store's database, and a broker that is empty and takes everything."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.celery: Celery = make_celery(settings())

    def connect(self) -> Connection:
        return Connection("memory://")


class Broker:
    """Notes what is sent, and how many rows are sent when each message is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sent: list[UUID] = []
        self.marked: list[int] = []
        self.fails_at: int | None = None

    def send(self, celery: Celery, producer: object, wakeup: Wakeup) -> None:
        if len(self.sent) == self.fails_at:
            raise ConnectionError
        self.marked.append(marked(self._store))
        self.sent.append(wakeup.job_id)


def marked(store: Store) -> int:
    """How many jobs are marked as sent anew."""
    return int(store.sql("SELECT count(*) FROM jobs WHERE publish_tries > 1")[0]["count"])


@pytest.fixture
def broker(store: Store, monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker(store)
    monkeypatch.setattr(relays, "send_wakeup", broker.send)
    monkeypatch.setattr(relays, "queue_length", lambda *_: len(broker.sent))
    return broker


@pytest.fixture
def relay(store: Store) -> Iterator[Relay]:
    relay = Relay(Runtime(store.database))
    yield relay
    relay.close()


def owe(store: Store, count: int) -> list[UUID]:
    ids = [store.queued(queue="q").id for _ in range(count)]
    store.do(upkeep.unpublish, ids)
    return ids


def lose(store: Store, count: int) -> list[UUID]:
    ids = [store.queued(queue="q").id for _ in range(count)]
    store.sql("UPDATE jobs SET published_at = now() - interval '1 h'")
    return ids


def test_what_is_owed_goes_out_in_slices_that_are_each_committed(
    store: Store, broker: Broker, relay: Relay
) -> None:
    ids = owe(store, 120)

    assert relay.publish_owed() == 120

    assert sorted(broker.sent) == sorted(ids)
    assert (broker.marked[0], broker.marked[50], broker.marked[119]) == (50, 100, 120)
    assert relay.publish_owed() == 0


def test_a_slice_that_takes_long_ends_with_what_was_sent(
    store: Store, broker: Broker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "SLICE_LIMIT_S", 0.0)
    owe(store, 3)

    for count in (1, 2, 3):
        assert relay.publish_owed() == 1
        assert marked(store) == count
    assert len(set(broker.sent)) == 3


def test_what_a_broker_that_fails_did_not_take_is_owed_as_before(
    store: Store, broker: Broker, relay: Relay
) -> None:
    owe(store, 120)
    broker.fails_at = 110

    with pytest.raises(ConnectionError):
        relay.publish_owed()
    assert marked(store) == 110

    broker.fails_at = None
    assert relay.publish_owed() == 10
    assert len(set(broker.sent)) == len(broker.sent) == 120


def test_what_was_lost_is_still_lost_after_a_broker_failed(
    store: Store, broker: Broker, relay: Relay
) -> None:
    lose(store, 3)
    broker.fails_at = 1

    with pytest.raises(ConnectionError):
        relay.publish_lost()

    broker.fails_at = None
    assert relay.publish_lost() == 2
    assert len(set(broker.sent)) == 3


@pytest.mark.parametrize("prepare", [owe, lose])
def test_no_row_is_locked_while_the_broker_is_asked(
    store: Store,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Store, int], list[UUID]],
) -> None:
    unlocked: list[int] = []

    def look(*_: object) -> int:
        unlocked.append(len(store.sql("SELECT id FROM jobs FOR UPDATE SKIP LOCKED")))
        return 0

    monkeypatch.setattr(relays, "send_wakeup", look)
    monkeypatch.setattr(relays, "queue_length", look)
    prepare(store, 2)

    assert relay.publish() == 2
    assert set(unlocked) == {2}


def test_what_was_lost_goes_out_in_slices_and_all_of_it(
    store: Store, broker: Broker, relay: Relay
) -> None:
    ids = lose(store, 120)

    assert relay.publish_lost() == 120

    assert sorted(broker.sent) == sorted(ids)
    assert (broker.marked[0], broker.marked[50]) == (50, 100)
    assert relay.publish_lost() == 0


def test_what_the_broker_still_has_is_not_sent_again(
    store: Store, broker: Broker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(store, 60)
    monkeypatch.setattr(relays, "queue_length", lambda *_: 60)

    assert relay.publish_lost() == 0

    assert (broker.sent, marked(store)) == ([], 60)
