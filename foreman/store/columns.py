"""Values as the columns of a job take them.

A target says what it likes: what no column holds must not keep a job from ending.
"""

from typing import Any

from foreman.core.frames import Failure
from foreman.core.gather.usage import Usage
from foreman.core.origin import Origin

ORIGIN_COLUMNS = ("client", "client_address", "request_id", "traceparent")
USAGE = ("prompt_tokens", "output_tokens", "load_s", "prompt_eval_s", "eval_s")
ERROR = ("error_code", "error_message", "error_is_permanent")
_COUNT_LIMIT = 2**31 - 1
_MESSAGE_LIMIT_CHARS = 2000


def origin_values(origin: Origin) -> dict[str, Any]:
    """Where a job's request came from, by column."""
    values = (origin.client, origin.address, origin.request_id, origin.traceparent)
    return dict(zip(ORIGIN_COLUMNS, values, strict=True))


def usage_values(usage: Usage) -> dict[str, Any]:
    """Tokens and times, by column."""
    values = {name: getattr(usage, name) for name in USAGE}
    return {
        name: max(0, min(value, _COUNT_LIMIT)) if isinstance(value, int) else value
        for name, value in values.items()
    }


def error_values(failure: Failure | None) -> dict[str, Any]:
    """The error of a job, or that it has none, by column."""
    if failure is None:
        return dict.fromkeys(ERROR)
    # A text of PostgreSQL has no zero byte and no half of a surrogate pair.
    message = failure.message.replace("\0", "\ufffd").encode(errors="replace").decode()
    values = (failure.code, message[:_MESSAGE_LIMIT_CHARS], failure.is_permanent)
    return dict(zip(ERROR, values, strict=True))
