"""The channel's web side: one reply queue, one reader, a mailbox for each waiting request.

The reader never waits for a client. What a mailbox holds is bounded by its stream's window: the
worker pauses until the client has taken more (`core.credit`).
"""

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from uuid import UUID

from kombu import Connection, Consumer, Message

from foreman.adapters.channel import reply_queue
from foreman.core.credit import Receipt
from foreman.core.frames import Frame, FrameKind, decode

log = logging.getLogger(__name__)

RETRY_S = 0.5


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
    """The reply queue of this web process; its thread hands each frame to its mailbox."""

    def __init__(
        self,
        web_id: UUID,
        connect: Callable[[], Connection],
        *,
        is_redis: bool,
        window_bytes: int,
        report: Callable[[UUID, int, int], None],
        on_overflow: Callable[[UUID], None],
    ) -> None:
        self._report = report
        self._on_overflow = on_overflow
        self._connect = connect
        self._queue = reply_queue(web_id, is_redis=is_redis)
        self._window_bytes = window_bytes
        self._mailboxes: dict[UUID, Mailbox] = {}
        self._is_consuming = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    @property
    def is_consuming(self) -> bool:
        """Whether frames can arrive now."""
        return self._is_consuming.is_set()

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

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(2)

    def _run(self) -> None:
        while not self._is_closing:
            connection = self._connect()
            try:
                self._consume(connection)
            except Exception as exc:  # the outermost loop: whatever the broker does, go on
                log.warning("reply queue lost", extra={"error": repr(exc)})
                time.sleep(RETRY_S)
            finally:
                self._is_consuming.clear()
                with suppress(Exception):  # it may be what is broken
                    connection.collect()

    def _consume(self, connection: Connection) -> None:
        consumer = Consumer(
            connection.channel(), [self._queue], no_ack=True, on_message=self._receive
        )
        with consumer:
            self._is_consuming.set()
            beat_at = time.monotonic()
            while not self._is_closing:
                with suppress(socket.timeout):
                    connection.drain_events(timeout=1)
                if time.monotonic() - beat_at > 1:
                    beat_at = time.monotonic()
                    connection.heartbeat_check()

    def _receive(self, message: Message) -> None:
        body: bytes = message.body  # type: ignore[assignment]  # raw: the stub knows text only
        try:
            for frame in decode(body):
                mailbox = self._mailboxes.get(frame.job_id)
                if mailbox is not None:
                    mailbox.put(frame)
        except ValueError as exc:
            log.error("message on the reply queue is damaged", extra={"error": repr(exc)})
