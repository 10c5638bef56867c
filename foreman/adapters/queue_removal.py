"""Remove a queue from the broker when nobody uses it, with the messages that wake nobody.

On RabbitMQ a queue is there until it is deleted. On Redis it is a list that ends with its last
message, and has no binding: foreman's queues are reached by their names alone.
"""

from collections.abc import Callable
from typing import Any

from kombu import Connection, Message, Queue

from foreman.adapters.broker import is_missing, model_queue

# Of one queue in one turn; what is left is the next turn's.
DROPS_LIMIT = 1000


def remove_queue(connection: Connection, name: str, is_stale: Callable[[str], bool]) -> bool:
    """Remove a queue unless it is consumed or has a message that counts; whether it is gone.

    `is_stale` says of a message's job whether it is over, so that the message may be dropped.
    """
    channel: Any = connection.channel()
    queue = model_queue(name)(channel)
    try:
        if not _drop_stale(queue, is_stale):
            return False
        queue.delete(if_unused=True, if_empty=True)
    except connection.channel_errors as error:
        # The broker has closed the channel: there is no such queue, or it is in use by now.
        return is_missing(error)
    finally:
        channel.close()
    return True


def _drop_stale(queue: Queue, is_stale: Callable[[str], bool]) -> bool:
    """Drop messages up to the first that counts; whether the queue is empty then."""
    for _ in range(DROPS_LIMIT):
        message: Message | None = queue.get(accept=["json"])
        if message is None:
            return True
        if not is_stale(str(message.headers.get("id"))):
            message.reject(requeue=True)
            return False
        message.ack()
    return False
