"""Messages of the model queues, on a connection of the drain's own: ask one, or listen to several.

`get` answers "empty" exactly; `listen` parks consumers, so that the first message of any queue
arrives at once. The two brokers differ here and nowhere else in the worker.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from kombu import Connection, Consumer, Message

from foreman.adapters.broker import is_missing, model_queue, settle
from foreman.config import Settings

# How soon a parked thread notices that its plan has changed.
WAKE_S = 0.05
# How often the broker's heartbeat is looked after, whatever the thread is waiting for.
BEAT_S = 1.0

Pulled = tuple[str, Message]


class Inlet:
    """The drain's end of the broker, for one connection; used by one thread."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._declared: set[str] = set()
        self._pulling: Any = connection.channel()
        self._parking: Any = connection.channel()
        self._parked: Consumer | None = None
        self._is_unsettled = False
        self._beat_at = 0.0

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """What a lost connection raises."""
        return tuple(self._connection.connection_errors)

    def get(self, names: Sequence[str], *, settles: bool) -> Pulled | None:
        """The first message of the first of these queues that has one.

        `settles`: first let go back what the last `listen` may still bring, of other queues too.
        """
        if not names:
            return None
        self.release()
        if settles and self._is_unsettled:
            settle(self._connection, self._settings)
            self._is_unsettled = False
        for name in names:
            message = self._get(name)
            if message is not None:
                return name, message
        return None

    def listen(self, names: Collection[str], *, until: Callable[[], bool]) -> Pulled | None:
        """Consume from these queues until the first message, or until `until` says so.

        After a message the caller hands it on first and then calls `release`: to cancel dozens of
        consumers takes milliseconds.
        """
        self.release()
        got: list[Message] = []

        def receive(message: Message) -> None:
            if got:
                message.reject(requeue=True)
            else:
                got.append(message)

        self._declare(names)
        consumer = Consumer(
            self._parking,
            [model_queue(name) for name in names],
            on_message=receive,
            auto_declare=False,
            accept=["json"],
        )
        # One message at a time. Redis delivers one at a time anyway, and a limit there would make
        # the next one wait for the acknowledgement of the last.
        per_channel = not self._connection.qos_semantics_matches_spec
        consumer.qos(prefetch_count=0 if self._settings.is_redis else 1, apply_global=per_channel)
        self._parked = consumer
        try:
            consumer.consume()
        except self._connection.channel_errors as error:
            self._check_missing(error)
            self._parked = None
            return None  # the broker takes back what has come
        while not (got or until()):
            self._drain_events(WAKE_S)
        if not got:
            self.release()  # while it is cancelled, a message may still come
        if got:
            return str(got[0].delivery_info["routing_key"]), got[0]
        self._is_unsettled = True
        return None

    def release(self) -> None:
        """Let the consumers of the last `listen` go; what reaches them yet goes back."""
        parked, self._parked = self._parked, None
        if parked is not None:
            parked.cancel()

    def keep_alive(self) -> None:
        """Read the broker's own heartbeats, now and then; to be called all the time."""
        if time.monotonic() - self._beat_at > BEAT_S:
            self._drain_events(0.001)

    def _drain_events(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout_s)
        if time.monotonic() - self._beat_at > BEAT_S:
            self._beat_at = time.monotonic()
            self._connection.heartbeat_check()

    def _get(self, name: str) -> Message | None:
        try:
            self._declare([name])
            message: Message | None = model_queue(name)(self._pulling).get(accept=["json"])
        except self._connection.channel_errors as error:
            self._check_missing(error)
            return None
        return message

    def _check_missing(self, error: BaseException) -> None:
        """Go on where a queue was removed after it was declared: all are declared anew.

        The broker has closed the channel for it, and py-amqp has opened it again.
        """
        if not is_missing(error):
            raise error
        self._declared.clear()

    def _declare(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._declared:
                model_queue(name)(self._pulling).declare()
                self._declared.add(name)
