"""The channel's web side: one reply queue, one reader, a mailbox for each waiting request.

The reader never waits for a client. What a mailbox holds is bounded by its stream's window: the
worker pauses until the client has taken more (`core.credit`).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from uuid import UUID

from kombu import Connection, Consumer, Message, Producer

from foreman.adapters.broker import cut
from foreman.adapters.reply import publish_frames, reply_queue
from foreman.core.credit import Receipt
from foreman.core.frames import Frame, FrameKind, decode, encode
from foreman.core.sealed import opened
from foreman.errors import ChannelLost

log = logging.getLogger(__name__)

RETRY_S = 0.5
# How often it sends itself a frame; until the first one has come, more often.
PING_EVERY_S, FIRST_PING_S = 2.0, 0.1
# Without any frame for so long no job is accepted, and this process is not ready.
DOUBT_S = 6.0
# Then another connection is made. A broker that is frozen for 10 s has lost nothing until then.
SILENCE_LIMIT_S = 12.0
# All that a turn waits for has limits, which add up to less.
STUCK_S = 60.0


class Note(Enum):
    """What a mailbox may hold besides frames; each ends the stream."""

    GONE = "gone"  # the client left
    OVERFLOW = "overflow"  # the worker sends more than the window allows
    STOPPING = "stopping"  # this process shuts down


class Mailbox:
    """The frames of one job that its request has not taken yet.

    `report` is called with a run's fence and the bytes of it that the client has taken by now.
    """

    def __init__(
        self,
        window_bytes: int,
        report: Callable[[int, int], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._report = report
        self._on_overflow = on_overflow
        self._receipt = Receipt(window_bytes)
        self._items: queue.SimpleQueue[Frame | Note] = queue.SimpleQueue()
        # A worker that heeds the window leaves less than one frame on top of it.
        self._limit_bytes = 2 * window_bytes
        self._size_bytes = 0
        self._is_closed = False

    def put(self, frame: Frame) -> None:
        """Add a frame; a mailbox over its limit closes with a note and takes no more."""
        if self._is_closed:
            return
        is_data = frame.kind is FrameKind.DATA
        if self._size_bytes > self._limit_bytes and is_data:
            self.close(Note.OVERFLOW)
            # Its request may hang in a write to the client and not see the note for long.
            self._on_overflow()
            return
        if is_data and not frame.payload:
            self._receipt.is_asked = True
        self._size_bytes += len(frame.payload)
        self._items.put(frame)

    def close(self, note: Note) -> None:
        """End the stream with a note, after what is in the mailbox already."""
        if not self._is_closed:
            self._is_closed = True
            self._items.put(note)

    def take(self, timeout_s: float) -> Frame | Note | None:
        """The next item; None when there is none in time."""
        try:
            item = self._items.get(timeout=max(timeout_s, 0))
        except queue.Empty:
            return None
        if isinstance(item, Frame):
            self._size_bytes -= len(item.payload)
        return item

    def note_taken(self, fence: int, size_bytes: int) -> None:
        """The client has taken more of a run; its worker hears of it when it may wait for that."""
        total = self._receipt.take(fence, size_bytes)
        if total is not None:
            self._report(fence, total)


class Inbox:
    """The reply queue of this web process; its thread hands each frame to its mailbox.

    It sends itself a frame every few seconds, over the same connection: one that has fallen silent
    looks as open as ever, and a queue that nothing comes to may be one that nothing comes through.
    """

    def __init__(
        self,
        web_id: UUID,
        connect: Callable[[], Connection],
        key: bytes,
        *,
        is_redis: bool,
        window_bytes: int,
        report: Callable[[UUID, int, int], None],
        on_overflow: Callable[[UUID], None],
    ) -> None:
        self._report = report
        self._on_overflow = on_overflow
        self._connect = connect
        self._web_id = web_id
        self._key = key
        self._is_redis = is_redis
        self._window_bytes = window_bytes
        self._mailboxes: dict[UUID, Mailbox] = {}
        self._is_consuming = threading.Event()
        self._is_closing = False
        self._connections = 0
        self._connection: Connection | None = None
        self._heard_at = self._turned_at = time.monotonic()
        self._thread: threading.Thread
        self._start()

    @property
    def is_consuming(self) -> bool:
        """Whether frames can arrive now."""
        return not self.problem

    @property
    def problem(self) -> str:
        """Why no frames can arrive now; empty when they can."""
        if not self._is_consuming.is_set():
            return "the reply queue is not connected"
        silent_s = time.monotonic() - self._heard_at
        is_silent = silent_s > DOUBT_S
        return f"the reply queue has been silent for {silent_s:.0f} s" if is_silent else ""

    def wait_until_consuming(self, timeout_s: float) -> bool:
        """Wait for the reply queue to stand: no job may be published before it does."""
        return self._is_consuming.wait(timeout_s)

    def open(self, job_id: UUID) -> Mailbox:
        """A mailbox for a job that will be published."""
        mailbox = Mailbox(
            self._window_bytes, partial(self._report, job_id), partial(self._on_overflow, job_id)
        )
        self._mailboxes[job_id] = mailbox
        return mailbox

    def forget(self, job_id: UUID) -> None:
        """Close a job's mailbox: what still comes for it is dropped."""
        self._mailboxes.pop(job_id, None)

    def close_all(self, note: Note) -> None:
        """End every stream that is open."""
        for mailbox in list(self._mailboxes.values()):
            mailbox.close(note)

    def watch(self) -> None:
        """Replace the reader when it hangs, whatever it hangs in; to be called now and then."""
        if self._is_closing or time.monotonic() - self._turned_at < STUCK_S:
            return
        log.error("reader of the reply queue hangs and is replaced")
        hanging, self._turned_at = self._connection, time.monotonic()
        self._is_consuming.clear()
        self._start()
        if hanging is not None:
            cut(hanging)

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(2)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    def _is_wanted(self) -> bool:
        return not self._is_closing and threading.current_thread() is self._thread

    def _run(self) -> None:
        while self._is_wanted():
            self._connection = connection = self._connect()
            self._turned_at = time.monotonic()
            try:
                self._consume(connection)
            except Exception as exc:  # the outermost loop: whatever the broker does, go on
                facts = {"broker": connection.host, "error": repr(exc)}
                log.warning("reply queue lost", extra=facts)
                time.sleep(RETRY_S)
            finally:
                if threading.current_thread() is self._thread:
                    self._is_consuming.clear()
                _drop(connection)

    def _consume(self, connection: Connection) -> None:
        channel = connection.channel()
        self._connections += 1
        address = reply_queue(self._web_id, is_redis=self._is_redis, number=self._connections)
        consumer = Consumer(channel, [address], no_ack=True, on_message=self._receive)
        consumer.consume()
        producer = Producer(channel, address.exchange)
        self._heard_at = time.monotonic()
        ping_at = beat_at = 0.0
        while self._is_wanted():
            self._turned_at = now = time.monotonic()
            if now >= ping_at:
                self._ping(producer)
                ping_at = now + (PING_EVERY_S if self._is_consuming.is_set() else FIRST_PING_S)
            with suppress(TimeoutError):
                connection.drain_events(timeout=min(PING_EVERY_S, max(ping_at - now, 0.01)))
            if now - beat_at > 1:
                beat_at = now
                connection.heartbeat_check()
            if now - self._heard_at > SILENCE_LIMIT_S:
                raise ChannelLost("no frame of our own has come back")
        consumer.cancel()

    def _ping(self, producer: Producer) -> None:
        frame = Frame(self._web_id, 0, 0, FrameKind.DATA)
        publish_frames(producer, self._web_id, encode([frame]), self._key)

    def _receive(self, message: Message) -> None:
        body: bytes = message.body  # type: ignore[assignment]  # raw: the stub knows text only
        frames = opened(bytes(body), self._key)
        if frames is None:
            log.error("message on the reply queue is not signed", extra={"bytes": len(body)})
            return
        self._heard_at = time.monotonic()
        self._is_consuming.set()
        try:
            for frame in decode(frames):
                mailbox = self._mailboxes.get(frame.job_id)
                if mailbox is not None:
                    mailbox.put(frame)
        except ValueError as exc:
            log.error("message on the reply queue is damaged", extra={"error": repr(exc)})


def _drop(connection: Connection) -> None:
    with suppress(Exception):  # it may be what is broken
        connection.collect()
