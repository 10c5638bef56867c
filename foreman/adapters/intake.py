"""Messages of the model queues, on a connection of their own: ask one, or listen to several.

`get` answers "empty" exactly; `park` consumes, so that the first message of any queue arrives at
once. The two brokers differ here and nowhere else in the worker.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Message

from foreman.adapters.broker import model_queue, settle
from foreman.adapters.undecodable import set_aside
from foreman.config import Settings

log = logging.getLogger(__name__)

# How soon a parked thread notices that it is wanted for something else.
PIECE_S = 0.05
# How often the broker's heartbeat is looked after, whatever the thread is waiting for.
BEAT_S = 1.0

Got = tuple[str, Message]  # the Celery queue that it came from


class Intake:
    """The worker's end of the broker, for one connection; used by one thread.

    A queue may be deleted while nobody uses it. RabbitMQ then closes the channel that asks for it,
    and everything that came by that channel goes back: `on_lost` is called with it.
    """

    def __init__(
        self, connection: Connection, settings: Settings, on_lost: Callable[[object], None]
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._on_lost = on_lost
        self._declared: set[str] = set()
        self._pulling: Any = connection.channel()
        self._parking: Any = connection.channel()
        self._keeping: Any = None
        self._consumers: list[Consumer] = []
        self._got: Got | None = None
        self._is_listening = False  # a BRPOP may be under way
        self._may_bring_more = False
        self._beat_at = 0.0

    def get(self, name: str) -> Message | None:
        """The first message of a queue, if it has one."""
        self._declare(self._pulling, [name])
        try:
            return self._get(name)
        except NotFound:
            self._forget_channel(self._pulling, [name])
            self._declare(self._pulling, [name])
            return self._get(name)

    def park(self, names: Collection[str]) -> None:
        """Consume from these queues until `release`."""
        self._got, self._is_listening = None, True
        self._declare(self._parking, names)
        try:
            self._consume(names)
        except NotFound:
            self._forget_channel(self._parking, names)
            self._declare(self._parking, names)
            self._consume(names)

    def drain(self) -> Got | None:
        """The next message of the parked consumers, after PIECE_S at most."""
        if self._got is None:
            self._drain_events(PIECE_S)
        got, self._got = self._got, None
        self._is_listening = got is None
        return got

    def release(self) -> Got | None:
        """Cancel the consumers; returns a message that `drain` has not returned.

        What else reaches them yet goes back.
        """
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.cancel()
        late, self._got = self._got, None
        self._may_bring_more |= bool(consumers) and late is None and self._is_listening
        return late

    def settle(self) -> None:
        """Return to their queues the messages that cancelled consumers may still receive."""
        if self._may_bring_more:
            settle(self._connection, self._settings)
            self._may_bring_more = False

    def set_aside(self, message: Message, name: str) -> bool:
        """Keep a message that no task could be made of; False: it is too large, or refused."""
        if self._keeping is None:
            # Of its own: when the broker refuses the queue it closes this channel and no other.
            self._keeping = self._connection.channel()
        try:
            return set_aside(self._keeping, message, name, is_redis=self._settings.is_redis)
        except self._connection.connection_errors:
            raise
        except Exception as exc:  # refused, or a header that cannot be written again
            log.warning("message not kept", extra={"queue": name, "error": repr(exc)})
            return False

    def keep_alive(self) -> None:
        """Read the broker's own heartbeats, now and then; to be called all the time."""
        if time.monotonic() - self._beat_at > BEAT_S:
            self._drain_events(0.001)

    def _get(self, name: str) -> Message | None:
        while True:
            try:
                raw = self._pulling.basic_get(name, no_ack=False)
                break
            except ValueError as error:
                _log_foreign_entry(error)  # and the next one is asked for
        # Not `Queue.get`: it raises for a message that cannot be decompressed.
        message: Message | None = None if raw is None else self._pulling.message_to_python(raw)
        return message

    def _consume(self, names: Collection[str]) -> None:
        # One message at a time. Redis delivers one at a time anyway, and a limit there would make
        # the next one wait for the acknowledgement of the last.
        per_channel = not self._connection.qos_semantics_matches_spec
        limit = 0 if self._settings.is_redis else 1
        self._parking.basic_qos(0, limit, per_channel)
        for name in names:
            # One a queue: a message's routing key need not be the name of its queue.
            consumer = Consumer(
                self._parking,
                [model_queue(name)],
                on_message=partial(self._receive, name),
                on_decode_error=partial(self._receive, name),
                auto_declare=False,
            )
            self._consumers.append(consumer)
            consumer.consume()

    def _receive(self, name: str, message: Message, error: Exception | None = None) -> None:
        """A message, whatever kombu could not make of it."""
        if self._got is not None:
            message.reject(requeue=True)
        else:
            self._got = (name, message)

    def _drain_events(self, timeout_s: float) -> None:
        try:
            self._connection.drain_events(timeout=timeout_s)
        except TimeoutError:
            pass
        except ValueError as error:
            _log_foreign_entry(error)
        if time.monotonic() - self._beat_at > BEAT_S:
            self._beat_at = time.monotonic()
            self._connection.heartbeat_check()

    def _declare(self, channel: Any, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._declared:
                model_queue(name)(channel).declare()
                self._declared.add(name)

    def _forget_channel(self, channel: Any, names: Iterable[str]) -> None:
        """The broker has closed it: py-amqp has opened it again, without what it was."""
        self._declared.difference_update(names)
        self._consumers.clear()
        self._got = None
        self._on_lost(channel)


def _log_foreign_entry(error: ValueError) -> None:
    """Not even JSON: kombu has taken it from the list (of Redis), and it is nowhere any more."""
    log.error("entry of a queue is no message", extra={"error": repr(error)})
