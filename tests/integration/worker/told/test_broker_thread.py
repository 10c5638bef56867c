"""The broker's thread on real brokers: what it reports for each wish, and what it settles."""

import json
import queue
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from foreman.adapters import broker as brokers
from foreman.adapters.broker import RUN_JOB, model_queue
from foreman.adapters.intake import Intake
from foreman.adapters.undecodable import CAME_FROM, UNDECODABLE
from foreman.config import Settings
from foreman.ids import new_id
from foreman.worker.broker import BrokerThread
from foreman.worker.effects import Ack, Pull, Reconnect, Requeue, SetAside
from foreman.worker.events import Connected, Empty, Event, Message
from foreman.worker.state import Ask, Idle, Park
from tests.fakes.proxy import Proxy, proxy_before
from tests.integration.test_channel import settings as channel_settings
from tests.stack import wait_for

settings = channel_settings

FIRST, SECOND = "model.a%3Alatest", "model.b%3Alatest"


def as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


class Hands:
    """A broker's thread, what it told, and somebody who sends messages."""

    def __init__(self, settings: Settings, direct: Settings | None = None) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        self.thread = BrokerThread(settings, self.told.put)
        self.connection: Connection = brokers.connect(direct or settings)
        self.channel: Any = self.connection.channel()
        self._numbers = 0

    def close(self) -> None:
        self.thread.stop(10)
        self.connection.close()

    def start(self) -> None:
        self.thread.start()
        assert self.next() == Connected(True)

    def next(self, limit_s: float = 10.0) -> Event:
        return self.told.get(timeout=limit_s)

    def message(self, limit_s: float = 10.0) -> Message:
        event = self.next(limit_s)
        assert isinstance(event, Message), event
        return event

    def pull(self, wish: Ask | Park | Idle) -> int:
        """Wish for something; its number."""
        self._numbers += 1
        self.thread.obey(Pull(wish, self._numbers))
        return self._numbers

    def ask(self, *names: str, settles: bool = False) -> Event:
        """What comes of an `Ask`."""
        number = self.pull(Ask(names, settles))
        event = self.next()
        assert isinstance(event, Message | Empty), event
        assert event.number == number
        return event

    def has(self, name: str) -> int:
        """Messages that wait in a queue."""
        return brokers.queue_length(self.connection, name)

    def kept(self) -> list[Any]:
        """What was set aside, oldest first."""
        raw = iter(lambda: self.channel.basic_get(UNDECODABLE, no_ack=True), None)
        return [self.channel.message_to_python(each) for each in raw]

    def send(self, name: str, job_id: str | None = None, **changes: Any) -> str:
        """Send the message of a job, or one with something wrong; the job's id."""
        job_id = job_id or str(new_id())
        usual: dict[str, Any] = {
            "body": json.dumps([[job_id], {}, {}]),
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "headers": {"task": RUN_JOB, "id": job_id},
        }
        fields = usual | changes
        model_queue(name)(self.channel).declare()
        body = as_bytes(fields.pop("body"))
        message = self.channel.prepare_message(body, **fields)
        self.channel.basic_publish(message, exchange="", routing_key=name)
        return job_id


@pytest.fixture
def hands(settings: Settings) -> Iterator[Hands]:
    made = Hands(settings)
    made.start()
    yield made
    made.close()


def test_an_ask_takes_one_message_of_the_first_queue_that_has_one(hands: Hands) -> None:
    assert isinstance(hands.ask(FIRST, SECOND), Empty)
    theirs = hands.send(SECOND)
    ours = [hands.send(FIRST), hands.send(FIRST)]

    got = [hands.ask(FIRST, SECOND) for _ in range(4)]

    taken = [each for each in got if isinstance(each, Message)]
    assert [(each.name, each.job_id) for each in taken] == [
        (FIRST, ours[0]),
        (FIRST, ours[1]),
        (SECOND, theirs),
    ]
    assert isinstance(got[3], Empty)
    assert len({each.tag for each in taken}) == 3


def test_consumers_stay_parked_for_the_next_message_of_the_same_queues(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked: list[Collection[str]] = []
    park = Intake.park

    def noted(intake: Intake, names: Collection[str]) -> None:
        parked.append(names)
        park(intake, names)

    monkeypatch.setattr(Intake, "park", noted)
    hands.pull(Park(frozenset({FIRST, SECOND})))
    for _ in range(5):
        job_id = hands.send(SECOND)
        got = hands.message()
        assert got.job_id == job_id
        hands.pull(Park(frozenset({FIRST, SECOND})))
        hands.thread.obey(Ack(got.tag))
    assert len(parked) == 1


def test_a_message_that_nobody_asked_for_stays_in_its_queue_after_an_acknowledgement(
    hands: Hands,
) -> None:
    hands.pull(Park(frozenset({FIRST})))
    hands.send(FIRST)
    taken = hands.message()
    next_job = hands.send(FIRST)

    hands.thread.obey(Ack(taken.tag))

    wait_for(lambda: hands.has(FIRST) == 1)
    other = hands.ask(FIRST, settles=True)
    assert isinstance(other, Message)
    assert other.job_id == next_job


def test_parked_consumers_bring_the_first_message_at_once_and_only_it(hands: Hands) -> None:
    hands.pull(Park(frozenset({FIRST, SECOND})))
    late_s = []
    for _ in range(10):
        time.sleep(0.06)  # as long as one piece of its waiting: it is in the middle of another
        began_at = time.monotonic()
        job_id = hands.send(SECOND)
        got = hands.message()
        late_s.append(time.monotonic() - began_at)
        assert (got.name, got.job_id) == (SECOND, job_id)
        hands.thread.obey(Ack(got.tag))
        assert got.number == hands._numbers
        hands.pull(Park(frozenset({FIRST, SECOND})))
    assert sorted(late_s)[5] < 0.05

    hands.send(FIRST)
    hands.send(SECOND)
    hands.send(SECOND)
    first = hands.message()
    hands.thread.obey(Ack(first.tag))
    wait_for(lambda: hands.has(FIRST) + hands.has(SECOND) == 2)
    assert hands.told.empty()


def test_a_new_wish_replaces_the_one_that_is_parked(hands: Hands) -> None:
    hands.pull(Park(frozenset({FIRST})))
    assert isinstance(hands.ask(SECOND, settles=True), Empty)
    hands.send(FIRST)  # to which nobody listens now

    hands.pull(Park(frozenset({SECOND})))
    job_id = hands.send(SECOND)

    assert hands.message().job_id == job_id
    hands.pull(Idle())
    hands.send(SECOND)
    assert isinstance(hands.ask(), Empty)
    assert (hands.has(FIRST), hands.has(SECOND)) == (1, 1)


def test_the_same_queues_under_a_new_number_stay_parked(hands: Hands) -> None:
    hands.pull(Park(frozenset({FIRST})))
    number = hands.pull(Park(frozenset({FIRST})))

    job_id = hands.send(FIRST)

    got = hands.message()
    assert (got.job_id, got.number) == (job_id, number)


def test_of_several_wishes_the_newest_one_counts(hands: Hands) -> None:
    hands.send(FIRST)

    hands.pull(Ask((FIRST,), settles=False))
    newest = hands.pull(Ask((SECOND,), settles=False))
    events = [hands.next()]
    while events[-1] != Empty(newest):
        events.append(hands.next())

    assert len(events) <= 2


def test_a_message_that_is_returned_comes_again_and_one_that_is_settled_does_not(
    hands: Hands,
) -> None:
    job_id = hands.send(FIRST)
    got = hands.ask(FIRST)
    assert isinstance(got, Message)
    assert isinstance(hands.ask(FIRST), Empty)

    hands.thread.obey(Requeue(got.tag))
    again = hands.ask(FIRST)
    assert isinstance(again, Message)
    assert again.job_id == job_id
    assert again.tag != got.tag

    hands.thread.obey(Ack(again.tag))
    hands.thread.obey(Requeue(again.tag))  # too late, and of no effect
    hands.thread.obey(Ack(12345))
    assert isinstance(hands.ask(FIRST), Empty)
    assert hands.thread.unsettled(again.tag) is None


def test_what_is_unsettled_at_the_end_goes_back(hands: Hands) -> None:
    hands.send(FIRST)
    settled = hands.ask(FIRST)
    hands.send(FIRST)
    assert isinstance(hands.ask(FIRST), Message)
    assert isinstance(settled, Message)

    hands.thread.obey(Ack(settled.tag))
    assert hands.thread.stop(10)

    wait_for(lambda: hands.has(FIRST) == 1)
    assert hands.next() == Connected(False)


BAD: dict[str, dict[str, Any]] = {
    "no id": {"headers": {"task": RUN_JOB}},
    "another task": {"headers": {"task": "celery.chord", "id": "x"}},
    "pickle": {"body": b"\x80\x04N.", "content_type": "application/x-python-serialize"},
    "no JSON": {"body": "{"},
    "no encoding": {"content_encoding": "binary"},
    "compressed": {"headers": {"task": RUN_JOB, "id": "x", "compression": "zlib"}},
}


@pytest.mark.parametrize("wish", ["ask", "park"])
def test_what_is_no_jobs_is_reported_as_such_and_set_aside_whole(hands: Hands, wish: str) -> None:
    for what, changes in BAD.items():
        hands.pull(Ask((FIRST,), settles=False) if wish == "ask" else Park(frozenset({FIRST})))
        if wish == "ask":
            assert isinstance(hands.next(), Empty)
        hands.send(FIRST, **changes)
        got = hands.ask(FIRST) if wish == "ask" else hands.message()
        assert isinstance(got, Message)
        assert (what, got.job_id, got.name) == (what, None, FIRST)
        hands.thread.obey(SetAside(got.tag))
    good = hands.send(FIRST)
    got = hands.ask(FIRST)
    assert isinstance(got, Message)
    assert got.job_id == good

    wait_for(lambda: hands.has(UNDECODABLE) == len(BAD))
    for kept, changes in zip(hands.kept(), BAD.values(), strict=True):
        headers: dict[str, Any] = changes.get("headers", {})
        assert kept.headers | headers | {CAME_FROM: FIRST} == kept.headers
        assert kept.content_type == changes.get("content_type", "application/json")
        if "body" in changes:
            assert as_bytes(kept.body) == as_bytes(changes["body"])
    assert hands.has(FIRST) == 0


def test_what_is_too_large_to_be_kept_is_gone(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    hands.send(FIRST, body="x" * 70_000)
    got = hands.ask(FIRST)
    assert isinstance(got, Message)
    assert got.job_id is None

    hands.thread.obey(SetAside(got.tag))

    assert isinstance(hands.ask(FIRST), Empty)
    assert hands.has(UNDECODABLE) == 0
    told = [vars(record) for record in caplog.records if record.message == "message is no job's"]
    assert [(each["queue"], each["is_kept"]) for each in told] == [(FIRST, False)]
    assert len(told[0]["content"]) == 500


def test_the_queue_of_what_is_set_aside_keeps_the_newest(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreman.adapters.undecodable.KEPT_MESSAGES", 3)
    for number in range(5):
        hands.send(FIRST, body=f"bad {number}")
        got = hands.ask(FIRST)
        assert isinstance(got, Message)
        hands.thread.obey(SetAside(got.tag))
    assert isinstance(hands.ask(FIRST), Empty)

    assert [as_bytes(each.body) for each in hands.kept()] == [b"bad 2", b"bad 3", b"bad 4"]


def test_a_queue_that_was_deleted_is_asked_and_listened_to_again(hands: Hands) -> None:
    assert isinstance(hands.ask(FIRST), Empty)
    hands.channel.queue_delete(FIRST)
    assert isinstance(hands.ask(FIRST), Empty)
    hands.channel.queue_delete(FIRST)

    hands.pull(Park(frozenset({FIRST, SECOND})))
    job_id = hands.send(FIRST)

    assert hands.message().job_id == job_id
    assert hands.told.empty()  # no connection was lost for it


def test_a_message_of_a_channel_that_the_broker_closed_is_not_settled_by_its_old_tag(
    hands: Hands,
) -> None:
    job_id = hands.send(FIRST)
    old = hands.ask(FIRST)
    assert isinstance(old, Message)
    assert isinstance(hands.ask(SECOND), Empty)
    hands.channel.queue_delete(SECOND)
    assert isinstance(hands.ask(SECOND), Empty)

    hands.thread.obey(Ack(old.tag))
    again = hands.ask(FIRST)

    if isinstance(again, Message):  # RabbitMQ has closed the channel: all of it has gone back
        assert (again.job_id, hands.thread.unsettled(old.tag)) == (job_id, None)
        hands.thread.obey(Ack(again.tag))
    assert isinstance(hands.ask(FIRST), Empty)
    assert hands.told.empty()


def test_a_message_with_an_empty_body_is_set_aside(hands: Hands) -> None:
    hands.send(FIRST, body=b"")
    job_id = hands.send(FIRST)

    got = hands.ask(FIRST)
    assert isinstance(got, Message)
    assert got.job_id is None
    hands.thread.obey(SetAside(got.tag))
    after = hands.ask(FIRST)

    assert isinstance(after, Message)
    assert after.job_id == job_id
    assert [as_bytes(each.body) for each in hands.kept()] == [b""]
    assert hands.told.empty()  # no connection was lost for it


# A lost connection


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    with proxy_before(urlsplit(settings.broker_url).port or 0) as made:
        yield made


@pytest.fixture
def behind(settings: Settings, proxy: Proxy) -> Iterator[Hands]:
    port = str(urlsplit(settings.broker_url).port)
    url = settings.broker_url.replace(port, str(proxy.port))
    made = Hands(replace(settings, broker_url=url), direct=settings)
    made.start()
    yield made
    made.close()


def reconnected(hands: Hands) -> None:
    while hands.next(30) != Connected(True):
        pass


def test_a_parked_thread_notices_a_lost_connection_and_makes_another(
    behind: Hands, proxy: Proxy
) -> None:
    behind.pull(Park(frozenset({FIRST})))
    behind.send(FIRST)
    got = behind.message()
    behind.pull(Park(frozenset({SECOND})))

    proxy.cut()
    reconnected(behind)

    assert behind.thread.unsettled(got.tag) is None
    behind.thread.obey(Ack(got.tag))  # of the old connection: it settles nothing
    job_id = behind.send(SECOND)
    behind.pull(Park(frozenset({SECOND})))
    assert behind.message().job_id == job_id


def test_a_connection_that_was_lost_while_nothing_was_wished_is_noticed_at_the_next_wish(
    behind: Hands, proxy: Proxy
) -> None:
    assert isinstance(behind.ask(FIRST), Empty)

    proxy.cut()  # the client of Redis makes another by itself, when it needs one
    job_id = behind.send(FIRST)
    behind.pull(Ask((FIRST,), settles=False))

    while not isinstance(event := behind.next(30), Message):
        assert isinstance(event, Connected)
        if event.is_connected:
            behind.pull(Ask((FIRST,), settles=False))
    assert event.job_id == job_id


@pytest.mark.parametrize("wish", [Park(frozenset({FIRST})), Idle()])
def test_it_makes_another_connection_when_it_is_told_to(hands: Hands, wish: Park | Idle) -> None:
    hands.send(SECOND)
    got = hands.ask(SECOND)
    assert isinstance(got, Message)
    hands.pull(wish)

    hands.thread.reconnect(Reconnect())
    assert hands.next() == Connected(False)
    reconnected(hands)

    assert hands.thread.unsettled(got.tag) is None
    again = hands.ask(SECOND)
    assert isinstance(again, Message)
    assert again.job_id == got.job_id


@pytest.mark.parametrize(
    "wish", [Ask((FIRST,), settles=False), Park(frozenset({FIRST}))], ids=["ask", "park"]
)
def test_a_connection_that_falls_silent_is_replaced(
    behind: Hands, proxy: Proxy, wish: Ask | Park
) -> None:
    behind.pull(Park(frozenset({FIRST, SECOND})))
    behind.send(FIRST)
    assert behind.message()
    behind.pull(wish)

    proxy.silence()
    behind.pull(wish)
    job_id = behind.send(FIRST)

    pulled_at = time.monotonic()
    while not (isinstance(event := behind.next(40), Message) and event.job_id == job_id):
        if isinstance(event, Connected | Empty):
            behind.pull(wish)
    assert time.monotonic() - pulled_at < 40


def test_while_the_broker_is_away_it_tries_again_and_then_obeys_the_newest_wish(
    behind: Hands, proxy: Proxy
) -> None:
    proxy.refuse(True)
    assert behind.next() == Connected(False)
    behind.pull(Ask((SECOND,), settles=False))
    number = behind.pull(Ask((FIRST,), settles=False))
    job_id = behind.send(FIRST)

    proxy.refuse(False)
    reconnected(behind)

    got = behind.message()
    assert (got.job_id, got.number) == (job_id, number)


def test_it_stops_while_the_broker_is_away(behind: Hands, proxy: Proxy) -> None:
    proxy.refuse(True)
    assert behind.next() == Connected(False)

    assert behind.thread.stop(10)


# What only Redis lets anybody write


@pytest.mark.parametrize("entry", ["[1, 2]", "7", '{"headers": [1], "properties": 3}', "no JSON"])
@pytest.mark.parametrize("wish", [Ask((FIRST,), settles=False), Park(frozenset({FIRST}))])
@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_an_entry_of_a_list_that_is_no_message_stops_nobody(
    hands: Hands, wish: Ask | Park, entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    hands.channel.client.lpush(FIRST, entry)
    job_id = hands.send(FIRST)

    hands.pull(wish)
    got = hands.message()
    if entry != "no JSON":
        assert got.job_id is None
        hands.thread.obey(SetAside(got.tag))
        hands.pull(wish)
        got = hands.message()

    assert got.job_id == job_id
    told = {record.message for record in caplog.records}
    if entry == "no JSON":
        assert told == {"entry of a queue is no message"}
    else:
        assert [json.loads(each.body) for each in hands.kept()] == [json.loads(entry)]
