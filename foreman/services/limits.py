"""How many jobs may wait: beyond it a request is told when to come back, not lost in a queue."""

import math

from foreman.errors import QueueFull
from foreman.runtime import WebRuntime
from foreman.services.outlook import Prospect, rules_of

RETRY_AFTER_LIMIT_S = 3600


def check_room(runtime: WebRuntime, queue: str, model: str) -> None:
    """Raise QueueFull unless one more job of the residency may wait; else count it.

    The rows are counted once a second, and what this process accepts in between as it comes: with
    several web processes the limits are passed by what the others accept within a second.
    """
    own, settings = runtime.accepted, runtime.settings
    waiting = runtime.queues.waiting
    count = sum(each.count for each in waiting if each.queue == queue) + own[queue]
    total = sum(each.count for each in waiting) + own.total()
    if count < settings.max_queue and total < settings.max_queue_total:
        own[queue] += 1
        return
    what = f"{count} jobs wait for {model}" if count >= settings.max_queue else f"{total} jobs wait"
    raise QueueFull(
        f"server busy, please try again: {what}",
        retry_after_s=_retry_after_s(runtime, queue, model, count),
    )


def _retry_after_s(runtime: WebRuntime, queue: str, model: str, count: int) -> int:
    """When the job that is the last one now will have started, and its place is free."""
    prospect = Prospect(runtime.queues, rules_of(runtime.settings), runtime.catalog)
    eta_s = prospect.eta_s(queue, model, max(count - 1, 0), is_p90=False)
    if eta_s is None:
        return RETRY_AFTER_LIMIT_S if count else 5
    return min(max(math.ceil(eta_s), 1), RETRY_AFTER_LIMIT_S)
