"""Kombu's Redis transport with one client a channel instead of a new one for every command.

Making redis-py's client object is a third of the cost of a publish (60 of 170 µs here); the object
is only a handle on the channel's connection pool and may be used by many threads. Used by foreman's
own connections alone: Celery's keep kombu's transport, whose name Flower reads.
"""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """Keeps the client that its commands go through (`_create_client` is not in the stubs)."""

    _commands: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # see above
        if self._commands is None:
            self._commands = super()._create_client()  # type: ignore[misc]  # see above
        return self._commands


class Transport(redis.Transport):
    """The transport of `broker.connect`."""

    Channel = Channel
