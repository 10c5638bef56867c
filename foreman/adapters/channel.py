"""The result channel's worker side: frames to one web process, gathered and sent.

Its names are in `reply`, the web side is `inbox`. How much of a stream may be on its way is
`core.credit`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from kombu import Connection, Producer

from foreman.adapters.reply import publish_frames, reply_exchange
from foreman.core.credit import Window
from foreman.core.frames import Frame, FrameKind, encode, joined
from foreman.errors import ChannelLost, ReaderTooSlow

log = logging.getLogger(__name__)

MESSAGE_LIMIT_BYTES = 1024 * 1024
# One message is waited for as long: a broker that is frozen for 10 s breaks no stream.
SEND_LIMIT_S = 15.0
# A broker that takes nothing for so long has broken the streams that run.
GIVE_UP_S = 20.0
# For what has gathered, when its process ends.
CLOSE_LIMIT_S = 10.0
IDLE_S = 300.0
# A stream whose window is full asks what its client has taken: a report may be lost.
ASK_EVERY_S = 1.0


class Outgoing:
    """The frames of one run, on their way to the web process whose client waits."""

    def __init__(self, sender: "Sender", job_id: UUID, fence: int, window: Window) -> None:
        self._sender = sender
        self._job_id = job_id
        self._fence = fence
        self._seq = 0
        self.window = window
        self.is_stopped = False  # its run is to end, whatever its client has taken
        self.is_lost = False  # some of its frames could not be sent

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        """Hand over a frame, once there is room for it.

        ChannelLost when the broker takes none or the run was stopped, ReaderTooSlow when the
        client has taken nothing for too long. Only DATA waits.
        """
        self._sender.put(self, kind, payload)

    def credit(self, taken_bytes: int) -> None:
        """The client has taken so many bytes of this run by now; from any thread."""
        self._sender.credit(self, taken_bytes)

    def stop(self) -> None:
        """End the wait for room, and every later one; from any thread."""
        self._sender.stop(self)

    def close(self) -> None:
        """No frame follows; what was handed over is still sent."""
        self._sender.leave()

    def number(self, kind: FrameKind, payload: bytes) -> Frame:
        """The next frame; called by the sender alone, in the order of sending."""
        frame = Frame(self._job_id, self._fence, self._seq, kind, payload)
        self._seq += 1
        return frame


# The key of a web process; DatabaseUnavailable. None: it has none.
KeyOf = Callable[[UUID], bytes | None]
Gathered = dict[Outgoing, list[tuple[FrameKind, bytes]]]


@dataclass(frozen=True, slots=True)
class Flow:
    """How a worker sends: the window of one stream, and how long a client may take nothing."""

    window_bytes: int
    patience_s: float


class Sender:
    """One per reply queue. Its thread sends everything that has gathered as one message.

    An idle system sends each token at once; a busy one batches by itself, with no timer. What
    gathers is bounded by the windows of its runs.
    """

    def __init__(
        self,
        web_id: UUID,
        connect: Callable[[], Connection],
        flow: Flow,
        key_of: KeyOf,
        *,
        is_redis: bool,
    ) -> None:
        self._web_id = web_id
        self._connect = connect
        self._key_of = key_of
        self._key: bytes | None = None
        self._flow = flow
        self._exchange = reply_exchange(is_redis=is_redis)
        self._gathered: Gathered = {}
        lock = threading.Lock()
        self._changed = threading.Condition(lock)  # for the sending thread
        self._room = threading.Condition(lock)  # for runs whose window was full
        self._open_runs = 0
        self._is_closing = False
        self._sending_since = float("inf")
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def open(self, job_id: UUID, fence: int) -> Outgoing | None:
        """A way for one run's frames; None when this sender has retired."""
        with self._changed:
            if self._is_closing:
                return None
            self._open_runs += 1
            return Outgoing(self, job_id, fence, Window(self._flow.window_bytes))

    @property
    def is_retired(self) -> bool:
        """Whether it takes no more runs."""
        return self._is_closing

    def leave(self) -> None:
        with self._changed:
            self._open_runs -= 1

    def put(self, outgoing: Outgoing, kind: FrameKind, payload: bytes) -> None:
        with self._changed:
            if kind is FrameKind.DATA:
                self._wait_for_room(outgoing)
            # An error is sent even with a gap before it: the gap alone tells the client at once.
            if self._is_closing or (outgoing.is_lost and kind is not FrameKind.ERROR):
                raise ChannelLost("the broker takes no frames")
            outgoing.window.sent_bytes += len(payload)
            self._gather(outgoing, kind, payload)

    def credit(self, outgoing: Outgoing, taken_bytes: int) -> None:
        with self._changed:
            if outgoing.window.credit(taken_bytes):
                self._room.notify_all()

    def stop(self, outgoing: Outgoing) -> None:
        with self._changed:
            outgoing.is_stopped = True
            self._room.notify_all()

    def close(self) -> None:
        """Send what has gathered, within a limit, and stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
            self._room.notify_all()
        self._thread.join(CLOSE_LIMIT_S)

    def _gather(self, outgoing: Outgoing, kind: FrameKind, payload: bytes) -> None:
        self._gathered.setdefault(outgoing, []).append((kind, payload))
        self._changed.notify()

    def _wait_for_room(self, outgoing: Outgoing) -> None:
        """Return when the window is open, or when frames can no longer be sent at all."""
        window, taken = outgoing.window, outgoing.window.taken_bytes
        now = time.monotonic()
        ask_at, give_up_at = now + ASK_EVERY_S, now + self._flow.patience_s
        while not (window.is_open or outgoing.is_lost or self._is_closing):
            if outgoing.is_stopped:
                raise ChannelLost("the run was stopped")
            self._room.wait(ask_at - now)
            now = time.monotonic()
            if window.taken_bytes > taken:
                taken, give_up_at = window.taken_bytes, now + self._flow.patience_s
            elif now - self._sending_since > GIVE_UP_S:
                raise ChannelLost("the broker takes no frames")
            elif now > give_up_at:
                raise ReaderTooSlow
            if now >= ask_at and not window.is_open:
                self._gather(outgoing, FrameKind.DATA, b"")
                ask_at = now + ASK_EVERY_S

    def _run(self) -> None:
        while gathered := self._take():
            for message in _messages(gathered):
                if not self._send(message):
                    self._lose(gathered)
                    break
        self._drop_connection()

    def _take(self) -> Gathered:
        """Everything that has gathered; empty when there is nothing more to do."""
        with self._changed:
            self._sending_since = float("inf")
            while not (self._gathered or self._is_closing):
                # Nobody sent for long and nobody can: its web process is probably gone.
                if not self._changed.wait(IDLE_S) and not self._open_runs:
                    self._is_closing = True
            gathered, self._gathered = self._gathered, {}
            self._sending_since = time.monotonic()
            return gathered

    def _lose(self, gathered: Gathered) -> None:
        """Frames of these runs are lost: they end here instead of generating for nobody."""
        with self._changed:
            for outgoing in gathered:
                outgoing.is_lost = True
            self._room.notify_all()

    def _send(self, message: bytes) -> bool:
        """Publish within a limit. What is lost shows as a gap in the numbers of its frames."""
        give_up_at = time.monotonic() + GIVE_UP_S
        while True:
            try:
                self._publish(message)
                return True
            except Exception as exc:  # a broker's errors are many; the limit is what counts
                log.warning("frames not sent", extra={"error": repr(exc)})
                self._drop_connection()
                if time.monotonic() > give_up_at:
                    return False
                time.sleep(0.2)

    def _publish(self, message: bytes) -> None:
        if self._producer is None:
            self._connection = self._connect()
            self._producer = Producer(self._connection.channel(), self._exchange)
        if self._key is None:
            self._key = self._key_of(self._web_id)
        publish_frames(self._producer, self._web_id, message, self._key)

    def _drop_connection(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect()


class Senders:
    """The senders of this worker, one for each web process that has work here."""

    def __init__(
        self, connect: Callable[[], Connection], flow: Flow, key_of: KeyOf, *, is_redis: bool
    ) -> None:
        self._connect = connect
        self._key_of = key_of
        self._flow = flow
        self._is_redis = is_redis
        self._senders: dict[UUID, Sender] = {}
        self._lock = threading.Lock()

    def open(self, web_id: UUID, job_id: UUID, fence: int) -> Outgoing:
        """A way to the web process for one run's frames."""
        with self._lock:
            sender = self._senders.get(web_id)
            outgoing = sender.open(job_id, fence) if sender else None
            if outgoing is None:
                self._forget_retired()
                sender = self._senders[web_id] = Sender(
                    web_id, self._connect, self._flow, self._key_of, is_redis=self._is_redis
                )
                outgoing = sender.open(job_id, fence)
            if outgoing is None:
                raise ChannelLost("this worker is shutting down")
            return outgoing

    def close(self) -> None:
        with self._lock:
            for sender in self._senders.values():
                sender.close()

    @property
    def web_ids(self) -> frozenset[UUID]:
        """The web processes that have a sender here."""
        return frozenset(self._senders)

    def _forget_retired(self) -> None:
        """A web process that has ended never comes back under its id."""
        self._senders = {key: each for key, each in self._senders.items() if not each.is_retired}


def _messages(gathered: Gathered) -> Iterator[bytes]:
    """Number and encode what has gathered; neighbouring data of a run becomes one frame."""
    batch: list[Frame] = []
    size = 0
    for outgoing, pieces in gathered.items():
        for kind, payload in joined(pieces):
            batch.append(outgoing.number(kind, payload))
            size += len(payload)
            if size >= MESSAGE_LIMIT_BYTES:
                yield encode(batch)
                batch, size = [], 0
    if batch:
        yield encode(batch)
