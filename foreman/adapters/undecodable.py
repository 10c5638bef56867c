"""Messages that no task of foreman's could be made of: kept whole, where an operator finds them.

The newest ones, in a queue of the broker that nobody consumes. No job is lost with them: a job's
row has its message sent again.
"""

from typing import Any

from kombu import Exchange, Message, Queue

from foreman.adapters.redis_transport import NO_QUEUE

UNDECODABLE = NO_QUEUE
# A message of foreman's own has less than 1 KiB.
KEPT_MESSAGES = 1000
KEPT_BYTES = 64 * 1024
CAME_FROM = "x-foreman-queue"
CONFIRM_LIMIT_S = 3.0

# The sender's own. What is not here is the broker's, or would have the message expire.
_PROPERTIES = ("correlation_id", "reply_to", "message_id", "type", "app_id")


def set_aside(channel: Any, message: Message, name: str, *, is_redis: bool) -> bool:
    """Put a message that came from the queue `name` where it is kept; False: it is too large.

    The queue forgets the oldest of more than KEPT_MESSAGES.
    """
    body = _as_bytes(message.body)
    if len(body) > KEPT_BYTES:
        return False
    limit = None if is_redis else {"x-max-length": KEPT_MESSAGES}
    address = Queue(
        UNDECODABLE, Exchange(""), routing_key=UNDECODABLE, durable=True, queue_arguments=limit
    )
    address(channel).declare()
    channel.basic_publish(
        channel.prepare_message(
            body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=_headers(message) | {CAME_FROM: name},
            properties=_properties(message),
        ),
        exchange="",
        routing_key=UNDECODABLE,
        confirm_timeout=CONFIRM_LIMIT_S,
    )
    if is_redis:
        with channel.conn_or_acquire() as client:
            client.ltrim(UNDECODABLE, 0, KEPT_MESSAGES - 1)
    return True


def _as_bytes(body: Any) -> bytes:
    """The body as it was sent: py-amqp would encode a text as the sender says that it was."""
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _headers(message: Message) -> dict[str, Any]:
    kept: dict[str, Any] = dict(message.headers)
    if not message.errors:
        kept.pop("compression", None)  # kombu has undone it when it read the message
    return kept


def _properties(message: Message) -> dict[str, Any]:
    given: dict[str, Any] = message.properties
    kept = {name: given[name] for name in _PROPERTIES if given.get(name) is not None}
    return kept | {"delivery_mode": 2}
