"""Messages of jobs as they come from a queue, and as Celery is given them.

Anybody who reaches the broker may have sent one. Celery acknowledges what it cannot read, holds
back what has an `eta` and drops what has expired; so each message is looked at before, and what
Celery gets is made anew, of the job's id alone.
"""

import json
from dataclasses import dataclass
from typing import Any

from kombu import Message

from foreman.adapters.broker import RUN_JOB
from foreman.ids import parse_id

BODY_LIMIT_BYTES = 4096
SHADOW_LIMIT = 600
_ENCODINGS = frozenset({"utf-8", "utf8"})

# A header that no broker can bring: its value is an object of this process.
DELIVERY = "foreman_delivery"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The worker's thread has handed over this message."""

    tag: int

    def __repr__(self) -> str:
        return f"<delivery {self.tag}>"


def job_id_of(message: Message) -> str | None:
    """The job that a message is for; None when it is no message of foreman's."""
    headers: Any = message.headers
    is_ours = (
        not message.errors
        and isinstance(headers, dict)
        and headers.get("task") == RUN_JOB
        and isinstance(headers.get("id"), str)
        and not headers.get("compression")
        and message.content_type == "application/json"
        and str(message.content_encoding).lower() in _ENCODINGS
    )
    return _job_id_in(message.body) if is_ours else None


def _job_id_in(body: Any) -> str | None:
    if not isinstance(body, str | bytes | memoryview) or len(body) > BODY_LIMIT_BYTES:
        return None
    try:
        content = json.loads(body if isinstance(body, str) else bytes(body))
    except (ValueError, RecursionError):
        return None
    match content:
        case [[str(text)], dict(options), dict()] if not options:
            parsed = parse_id(text)
            return str(parsed) if parsed else None
        case _:
            return None


class HandedMessage(Message):
    """What Celery is given. The message itself is settled by the worker's thread: not by this."""

    def ack(self, multiple: bool = False) -> None:
        """Nothing: Celery has no say."""

    def reject(self, requeue: bool = False) -> None:
        """Nothing: Celery has no say."""

    def requeue(self) -> None:
        """Nothing: Celery has no say."""


def handed(message: Message, name: str, job_id: str, delivery: Delivery) -> HandedMessage:
    """The message of a job for Celery: it came from the queue `name`."""
    shadow: Any = message.headers.get("shadow")
    is_short = isinstance(shadow, str) and len(shadow) <= SHADOW_LIMIT
    headers: dict[str, Any] = {
        "lang": "py",
        "task": RUN_JOB,
        "id": job_id,
        "root_id": job_id,
        "argsrepr": repr((job_id,)),
        "kwargsrepr": "{}",
        "retries": 0,
        "ignore_result": True,
        "shadow": shadow if is_short else RUN_JOB,
        DELIVERY: delivery,
    }
    return HandedMessage(
        json.dumps([[job_id], {}, {}]),
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"correlation_id": job_id, "reply_to": ""},
        delivery_info={"exchange": "", "routing_key": name},
        accept={"application/json"},
    )
