"""The result channel on real brokers, without the processes around it."""

import queue
import time
from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest
from kombu import Connection

from foreman.adapters import broker
from foreman.adapters.channel import Senders, reply_queue
from foreman.adapters.inbox import Inbox, Mailbox, Note
from foreman.adapters.publisher import Publisher
from foreman.config import Settings, from_env
from foreman.core.frames import Frame, FrameKind
from foreman.core.queues import Wakeup
from foreman.embedded.probe import free_port
from foreman.ids import new_id
from tests.stack import wait_for

LIMIT_BYTES = 1024 * 1024


def _settings(broker_url: str) -> Settings:
    return from_env(
        {"DATABASE_URL": "postgres://nobody@nowhere/none", "FOREMAN_BROKER_URL": broker_url}
    )


class Channel:
    """Both ends of a channel: a web process's inbox and a worker's senders."""

    def __init__(self, settings: Settings) -> None:
        self.web_id = new_id()
        self.overflowed: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        is_redis = settings.is_redis
        self.inbox = Inbox(
            self.web_id,
            partial(broker.connect, settings, heartbeat_s=broker.HEARTBEAT_S),
            is_redis=is_redis,
            limit_bytes=LIMIT_BYTES,
            on_overflow=self.overflowed.put,
        )
        self.senders = Senders(partial(broker.connect, settings), is_redis=is_redis)
        assert self.inbox.wait_until_consuming(20)

    def close(self) -> None:
        self.senders.close()
        self.inbox.close()


@pytest.fixture
def settings(broker_url: str) -> Settings:
    return _settings(broker_url)


@pytest.fixture
def channel(settings: Settings) -> Iterator[Channel]:
    opened = Channel(settings)
    yield opened
    opened.close()


def _frames(mailbox: Mailbox) -> Iterator[Frame]:
    """What arrives, up to the end."""
    while True:
        item = mailbox.take(10)
        assert isinstance(item, Frame), item
        yield item
        if item.kind is FrameKind.END:
            return


def test_frames_arrive_whole_numbered_and_in_order(channel: Channel) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    pieces = [f"piece {number}\n".encode() for number in range(2000)]
    outgoing = channel.senders.open(channel.web_id, job_id, fence=7)

    outgoing.send(FrameKind.HEAD, b"head")
    for piece in pieces:
        outgoing.send(FrameKind.DATA, piece)
    outgoing.send(FrameKind.END)

    frames = list(_frames(mailbox))
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert {frame.fence for frame in frames} == {7}
    assert frames[0].payload == b"head"
    assert b"".join(frame.payload for frame in frames[1:]) == b"".join(pieces)
    assert len(frames) < len(pieces), "what gathers while one message is sent goes as one frame"


def test_jobs_that_share_the_channel_do_not_see_each_others_frames(channel: Channel) -> None:
    jobs = {new_id(): bytes([number]) * 10 for number in range(20)}
    mailboxes = {job_id: channel.inbox.open(job_id) for job_id in jobs}

    for job_id, payload in jobs.items():
        outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
        outgoing.send(FrameKind.DATA, payload)
        outgoing.send(FrameKind.END)

    for job_id, mailbox in mailboxes.items():
        assert b"".join(frame.payload for frame in _frames(mailbox)) == jobs[job_id]


def test_a_mailbox_that_is_not_emptied_overflows_and_the_others_go_on(channel: Channel) -> None:
    deaf, other = new_id(), new_id()
    deaf_box, other_box = channel.inbox.open(deaf), channel.inbox.open(other)
    to_deaf = channel.senders.open(channel.web_id, deaf, fence=1)
    to_other = channel.senders.open(channel.web_id, other, fence=1)

    for _ in range(20):
        to_deaf.send(FrameKind.DATA, b"x" * 100_000)
    to_other.send(FrameKind.END)

    assert [frame.kind for frame in _frames(other_box)] == [FrameKind.END]
    assert channel.overflowed.get(timeout=10) == deaf
    items = []
    while (item := deaf_box.take(0.2)) is not None:
        items.append(item)
    assert items[-1] is Note.OVERFLOW
    assert sum(len(each.payload) for each in items if isinstance(each, Frame)) <= LIMIT_BYTES


def test_nothing_is_left_on_the_broker_when_a_web_process_ends(settings: Settings) -> None:
    channel = Channel(settings)
    channel.close()

    def is_gone() -> bool:
        with broker.connect(settings) as connection:
            if settings.is_redis:
                client = connection.channel().client  # type: ignore[attr-defined]  # of Redis only
                return not client.pubsub_channels(f"*{channel.web_id}*")
            return _is_missing(connection, channel.web_id)

    wait_for(is_gone)


def _is_missing(connection: Connection, web_id: UUID) -> bool:
    try:
        reply_queue(web_id, is_redis=False)(connection.channel()).queue_declare(passive=True)
    except connection.channel_errors:
        return True
    return False


def test_what_cannot_be_published_is_reported_at_once(unreachable: Settings) -> None:
    unsent: queue.SimpleQueue[UUID] = queue.SimpleQueue()
    publisher = Publisher(
        broker.make_celery(unreachable), partial(broker.connect, unreachable), unsent.put
    )
    job_ids = [new_id() for _ in range(3)]
    began_at = time.monotonic()

    for job_id in job_ids:
        publisher.send(Wakeup(job_id, "model.x", "x", None))

    assert [unsent.get(timeout=20) for _ in job_ids] == job_ids
    assert time.monotonic() - began_at < 15
    publisher.close()


@pytest.fixture(params=["redis", "amqp"])
def unreachable(request: pytest.FixtureRequest) -> Settings:
    return _settings(f"{request.param}://127.0.0.1:{free_port()}/")
