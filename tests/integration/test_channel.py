"""The result channel on real brokers, without the processes around it."""

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from uuid import UUID

import pytest
from kombu import Connection, Producer

from foreman.adapters import broker
from foreman.adapters.channel import SEND_LIMIT_S, Flow, Outgoing, Senders
from foreman.adapters.inbox import SILENCE_LIMIT_S, Inbox, Mailbox, Note
from foreman.adapters.publisher import Publisher
from foreman.adapters.reply import publish_frames, reply_exchange, reply_queue
from foreman.config import Settings, from_env
from foreman.core.frames import Frame, FrameKind, decode, encode
from foreman.core.queues import Wakeup
from foreman.core.sealed import opened
from foreman.embedded.probe import free_port
from foreman.errors import ChannelLost, ReaderTooSlow
from foreman.ids import new_id
from tests.stack import wait_for

WINDOW_BYTES = 1024 * 1024
PATIENCE_S = 20.0
KEY = b"k" * 32


def settings_of(broker_url: str) -> Settings:
    return from_env(
        {"DATABASE_URL": "postgres://nobody@nowhere/none", "FOREMAN_BROKER_URL": broker_url}
    )


class Channel:
    """Both ends of a channel: a web process's inbox and a worker's senders."""

    def __init__(self, settings: Settings, *, patience_s: float = PATIENCE_S) -> None:
        self.web_id = new_id()
        self.reports: queue.SimpleQueue[tuple[UUID, int, int]] = queue.SimpleQueue()
        self.overflowed: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        is_redis = settings.is_redis
        self.inbox = Inbox(
            self.web_id,
            partial(
                broker.connect,
                settings,
                heartbeat_s=broker.HEARTBEAT_S,
                wait_limit_s=SILENCE_LIMIT_S,
                confirm_publish=False,
            ),
            KEY,
            is_redis=is_redis,
            window_bytes=WINDOW_BYTES,
            report=self.report,
            on_overflow=self.overflowed.put,
        )
        self.senders = Senders(
            partial(broker.connect, settings, wait_limit_s=SEND_LIMIT_S),
            Flow(WINDOW_BYTES, patience_s),
            lambda _: KEY,
            is_redis=is_redis,
        )
        assert self.inbox.wait_until_consuming(20)

    def report(self, job_id: UUID, fence: int, taken_bytes: int) -> None:
        self.reports.put((job_id, fence, taken_bytes))

    def close(self) -> None:
        self.senders.close()
        self.inbox.close()


@pytest.fixture
def settings(broker_url: str) -> Settings:
    return settings_of(broker_url)


@pytest.fixture
def channel(settings: Settings) -> Iterator[Channel]:
    opened = Channel(settings)
    yield opened
    opened.close()


def frames_of(mailbox: Mailbox) -> Iterator[Frame]:
    """What arrives, up to the end."""
    while True:
        item = mailbox.take(30)
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

    frames = list(frames_of(mailbox))
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert {frame.fence for frame in frames} == {7}
    assert frames[0].payload == b"head"
    assert b"".join(frame.payload for frame in frames[1:]) == b"".join(pieces)
    assert len(frames) < len(pieces), "what gathers while one message is sent goes as one frame"


def test_senders_of_web_processes_that_are_gone_are_not_kept(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreman.adapters.channel.IDLE_S", 0.05)
    gone = new_id()
    channel.senders.open(gone, new_id(), fence=1).close()

    def is_forgotten() -> bool:
        channel.senders.open(new_id(), new_id(), fence=1).close()
        return gone not in channel.senders.web_ids

    wait_for(is_forgotten, what="its sender is forgotten")


def test_on_redis_frames_travel_as_they_are(channel: Channel, settings: Settings) -> None:
    if not settings.is_redis:
        pytest.skip("RabbitMQ has no envelope around bytes")
    with broker.connect(settings) as connection:
        client = connection.channel().client  # type: ignore[attr-defined]  # of Redis only
        with client.pubsub() as listening:
            listening.psubscribe(f"*{channel.web_id}*")
            assert listening.get_message(timeout=10)["type"] == "psubscribe"
            job_id = new_id()
            channel.senders.open(channel.web_id, job_id, fence=7).send(FrameKind.END)

            published = listening.get_message(timeout=10)["data"]

    message = opened(published, KEY)
    assert message is not None
    assert [*decode(message)] == [Frame(job_id, 7, 0, FrameKind.END, b"")]


def test_jobs_that_share_the_channel_do_not_see_each_others_frames(channel: Channel) -> None:
    jobs = {new_id(): bytes([number]) * 10 for number in range(20)}
    mailboxes = {job_id: channel.inbox.open(job_id) for job_id in jobs}

    for job_id, payload in jobs.items():
        outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
        outgoing.send(FrameKind.DATA, payload)
        outgoing.send(FrameKind.END)

    for job_id, mailbox in mailboxes.items():
        assert b"".join(frame.payload for frame in frames_of(mailbox)) == jobs[job_id]


def _send_in_background(outgoing: Outgoing, pieces: list[bytes]) -> Future[None]:
    def send() -> None:
        for piece in pieces:
            outgoing.send(FrameKind.DATA, piece)
        outgoing.send(FrameKind.END)

    done: Future[None] = Future()

    def run() -> None:
        try:
            send()
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


def test_a_stream_that_nobody_takes_pauses_and_the_others_go_on(channel: Channel) -> None:
    deaf, other = new_id(), new_id()
    deaf_box, other_box = channel.inbox.open(deaf), channel.inbox.open(other)
    to_deaf = channel.senders.open(channel.web_id, deaf, fence=1)
    to_other = channel.senders.open(channel.web_id, other, fence=1)

    sending = _send_in_background(to_deaf, [b"x" * 100_000] * 30)
    wait_for(lambda: to_deaf.window.sent_bytes >= WINDOW_BYTES)
    to_other.send(FrameKind.END)

    assert [frame.kind for frame in frames_of(other_box)] == [FrameKind.END]
    assert not sending.done()
    assert to_deaf.window.sent_bytes < WINDOW_BYTES + 100_000
    size = 0
    for frame in frames_of(deaf_box):  # its client reads again
        size += len(frame.payload)
        deaf_box.note_taken(1, len(frame.payload))
        while not channel.reports.empty():
            to_deaf.credit(channel.reports.get()[2])
    assert size == 3_000_000
    assert sending.result(10) is None
    assert channel.overflowed.empty()


def test_a_stream_within_its_window_causes_no_report(channel: Channel) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)

    for _ in range(40):
        outgoing.send(FrameKind.DATA, b"x" * 10_000)
    outgoing.send(FrameKind.END)
    for frame in frames_of(mailbox):
        mailbox.note_taken(1, len(frame.payload))

    assert channel.reports.empty()


def test_a_frame_larger_than_the_window_passes_alone(channel: Channel) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
    line = b"x" * (20 * 1024 * 1024)

    outgoing.send(FrameKind.DATA, line)
    outgoing.send(FrameKind.END)

    assert b"".join(frame.payload for frame in frames_of(mailbox)) == line
    assert channel.overflowed.empty()


def test_a_lost_report_is_asked_for_again(channel: Channel) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
    sending = _send_in_background(outgoing, [b"x" * WINDOW_BYTES, b"last"])

    taken = mailbox.take(10)
    assert isinstance(taken, Frame)
    mailbox.note_taken(1, len(taken.payload))
    assert channel.reports.get(timeout=10) == (job_id, 1, WINDOW_BYTES)  # and it is lost
    question = mailbox.take(10)
    assert isinstance(question, Frame)
    assert (question.kind, question.payload) == (FrameKind.DATA, b"")
    mailbox.note_taken(1, 0)
    outgoing.credit(channel.reports.get(timeout=10)[2])

    assert b"".join(frame.payload for frame in frames_of(mailbox)) == b"last"
    assert sending.result(10) is None


def test_a_paused_stream_can_be_stopped_at_once(channel: Channel) -> None:
    outgoing = channel.senders.open(channel.web_id, new_id(), fence=1)
    sending = _send_in_background(outgoing, [b"x" * WINDOW_BYTES, b"more"])
    wait_for(lambda: outgoing.window.sent_bytes == WINDOW_BYTES)

    outgoing.stop()

    with pytest.raises(ChannelLost):
        sending.result(5)


def test_a_client_that_takes_nothing_for_too_long_ends_its_stream(settings: Settings) -> None:
    with closing(Channel(settings, patience_s=1.0)) as channel:
        outgoing = channel.senders.open(channel.web_id, new_id(), fence=1)
        sending = _send_in_background(outgoing, [b"x" * WINDOW_BYTES, b"more"])

        with pytest.raises(ReaderTooSlow):
            sending.result(10)


def test_a_worker_that_ignores_the_window_is_cut_off(channel: Channel) -> None:
    deaf = new_id()
    mailbox = channel.inbox.open(deaf)

    for seq in range(40):
        mailbox.put(Frame(deaf, 1, seq, FrameKind.DATA, b"x" * 100_000))

    assert channel.overflowed.get(timeout=10) == deaf
    items = []
    while (item := mailbox.take(0.2)) is not None:
        items.append(item)
    assert items[-1] is Note.OVERFLOW
    held = sum(len(each.payload) for each in items if isinstance(each, Frame))
    assert held <= 2 * WINDOW_BYTES + 100_000


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
    return settings_of(f"{request.param}://127.0.0.1:{free_port()}/")


@pytest.mark.parametrize("key", [None, b"another" * 4], ids=["unsigned", "another key"])
def test_frames_that_are_not_signed_with_the_key_of_the_web_process_are_dropped(
    channel: Channel, settings: Settings, caplog: pytest.LogCaptureFixture, key: bytes | None
) -> None:
    job_id = new_id()
    mailbox = channel.inbox.open(job_id)
    forged = encode([Frame(job_id, 1, 0, FrameKind.DATA, b"forged")])
    with broker.connect(settings) as connection:
        producer = Producer(connection.channel(), reply_exchange(is_redis=settings.is_redis))
        publish_frames(producer, channel.web_id, forged, key)
    wait_for(lambda: "not signed" in caplog.text)

    outgoing = channel.senders.open(channel.web_id, job_id, fence=1)
    outgoing.send(FrameKind.DATA, b"true")
    outgoing.send(FrameKind.END)

    assert b"".join(frame.payload for frame in frames_of(mailbox)) == b"true"
