"""Kombu's Redis transport, for foreman's own connections alone.

One client a channel instead of a new one for every command: making redis-py's client object is a
third of the cost of a publish (60 of 170 µs here); the object is only a handle on the channel's
connection pool and may be used by many threads. Celery's connections keep kombu's transport, whose
name Flower reads.

The frames of streams, a message for each token, are published as the bytes that they are. Kombu's
envelope (base64 in JSON, a tag) and its way through redis-py's pool were two thirds of their cost.

And an entry of a list that is no message of kombu's is a message all the same: kombu would raise
from wherever it is read, after the entry has left the list.
"""

import json
from typing import Any

from kombu.transport import redis, virtual

from foreman.ids import new_id

# The exchange whose messages have no envelope.
REPLIES = "foreman.reply"
# Where an entry that is no message of kombu's goes when it is given back.
NO_QUEUE = "foreman.undecodable"


_REPLIES_TOPIC = f".{REPLIES}/".encode()
_REPLIES_ADDRESS = {"exchange": REPLIES, "routing_key": ""}


class Message(virtual.Message):
    """A message whose envelope somebody else may have written."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **options)
            is_whole = {"exchange", "routing_key"} <= self.delivery_info.keys()
            is_whole &= isinstance(self.delivery_tag, str) and isinstance(self.headers, dict)
        except Exception:  # whatever kombu makes of it: its fields are of any type
            is_whole = False
        if not is_whole:
            super().__init__(_wrapped(payload), channel=channel, **options)


def _enveloped(frames: bytes) -> dict[str, Any]:
    """Kombu's message of frames that came without one."""
    return {
        "body": frames,
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {},
        "properties": {"delivery_info": _REPLIES_ADDRESS, "delivery_tag": ""},
    }


def _wrapped(payload: Any) -> dict[str, Any]:
    """An envelope whose body is all that was sent."""
    address = {"exchange": "", "routing_key": NO_QUEUE}
    return {
        "body": json.dumps(payload),
        "headers": {},
        "properties": {"delivery_tag": str(new_id()), "delivery_info": address},
    }


class Channel(redis.Channel):
    """Keeps the client that its commands go through (what has a note here is not in the stubs)."""

    Message = Message
    _commands: Any = None
    _line: Any = None  # redis-py's connection for frames

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **options: Any) -> Any:
        if exchange != REPLIES:
            return super().basic_publish(message, exchange, routing_key, **options)
        topic = self._get_publish_topic(exchange, routing_key)  # type: ignore[attr-defined]  # see above
        if self._line is None:
            self._line = self.pool.get_connection()
        self._line.send_command("PUBLISH", topic, message["body"])
        return self._line.read_response()

    def _handle_message(self, client: Any, response: Any) -> Any:
        """What PUB/SUB has brought: frames are given their envelope here, where kombu looks for
        the message of a list.
        """
        payload = super()._handle_message(client, response)  # type: ignore[misc]  # see above
        topic, data = bytes(payload["channel"] or b""), payload["data"]
        is_message = payload["type"] in (b"message", b"pmessage")
        if not is_message or _REPLIES_TOPIC not in topic:
            return payload
        queue = self._fanout_to_queue[REPLIES]  # type: ignore[attr-defined]  # see above
        self.connection._deliver(_enveloped(data), queue)
        return payload | {"data": b""}  # there is nothing more of it to deliver

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # see above
        if self._commands is None:
            self._commands = super()._create_client()  # type: ignore[misc]  # see above
        return self._commands


class Transport(redis.Transport):
    """The transport of `broker.connect`."""

    Channel = Channel

    def cut(self) -> None:
        """End what any thread waits for in it. Its owner finds it broken, and drops it."""
        channels: list[Any] = list(self.channels or ())
        for channel in channels:
            for pool in (channel._pool, channel._async_pool):
                if pool is not None:
                    pool.disconnect()
