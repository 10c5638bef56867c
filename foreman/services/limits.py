"""How much may wait: beyond it a request gets a 503 that says when to come back.

1. one residency has FOREMAN_MAX_QUEUE waiting jobs
2. all together have FOREMAN_MAX_QUEUE_TOTAL
3. the job is the first of its residency, and
   a. FOREMAN_MAX_RESIDENCIES others of its model have waiting jobs, or
   b. FOREMAN_MAX_RESIDENCIES_TOTAL others in all
"""

import math
from collections.abc import Collection

from foreman.errors import QueueFull
from foreman.runtime import WebRuntime

RETRY_AFTER_LIMIT_S = 3600
# Where the forecasts, which are renewed every second or so, do not know the queues yet.
UNKNOWN_S = 5.0


def check_room(runtime: WebRuntime, queue: str, model: str) -> None:
    """Raise QueueFull unless one more job of the residency may wait; else count it."""
    room, settings = runtime.room, runtime.settings
    count, others = room.count(queue), room.queues_of(model)
    if count >= settings.max_queue:
        raise _full(runtime, [queue], f"{count} jobs wait for {model}")
    if room.total >= settings.max_queue_total:
        raise _full(runtime, [queue], f"{room.total} jobs wait")
    if not count and len(others) >= settings.max_residencies:
        what = f"{len(others)} residencies of model {model} have waiting jobs"
        why = "(FOREMAN_MAX_RESIDENCIES), and this request's runner options need another"
        raise _full(runtime, others, f"{what} {why}")
    if not count and room.residencies >= settings.max_residencies_total:
        what = f"{room.residencies} residencies have waiting jobs"
        why = "(FOREMAN_MAX_RESIDENCIES_TOTAL), and this request needs another"
        raise _full(runtime, runtime.prospect.drained_s, f"{what} {why}")
    room.add(queue, model)


def _full(runtime: WebRuntime, queues: Collection[str], what: str) -> QueueFull:
    """There is room again when the last waiting job of one of `queues` has started."""
    drained_s = runtime.prospect.drained_s
    first_s = min((drained_s[each] for each in queues if each in drained_s), default=UNKNOWN_S)
    wait_s = max(math.ceil(min(first_s, RETRY_AFTER_LIMIT_S)), 1)
    return QueueFull(f"server busy, please try again: {what}", retry_after_s=wait_s)
