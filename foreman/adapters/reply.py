"""The reply exchange: its names, and how frames are sent to one web process.

An exchange of foreman's own on the Celery broker. On RabbitMQ a direct exchange and an exclusive
queue, on Redis PUB/SUB: in both nothing remains when a web process dies.
"""

from uuid import UUID

from kombu import Exchange, Producer, Queue

from foreman.core.sealed import signed


def reply_exchange(*, is_redis: bool) -> Exchange:
    return Exchange("foreman.reply", type="fanout" if is_redis else "direct", durable=False)


def reply_queue(web_id: UUID, *, is_redis: bool, number: int = 1) -> Queue:
    """The queue of a web process's connection of this number.

    RabbitMQ may hold an older one that fell silent for alive, and its queue for taken.
    """
    return Queue(
        f"foreman.reply.{web_id}" + ("" if is_redis or number == 1 else f".{number}"),
        reply_exchange(is_redis=is_redis),
        routing_key=str(web_id),
        durable=False,
        auto_delete=True,
        exclusive=not is_redis,
    )


def publish_frames(producer: Producer, web_id: UUID, message: bytes, key: bytes | None) -> None:
    """Send frames to a web process, signed if it has a key; a broker raises many errors."""
    producer.publish(
        message if key is None else signed(message, key),
        routing_key=str(web_id),
        content_type="application/octet-stream",
        content_encoding="binary",
        delivery_mode=1,  # transient
    )
