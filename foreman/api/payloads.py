"""What callers of foreman's own routes may send: bodies, query parameters, headers.

What is not named here is refused by its name. The same models make /openapi.json.
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from foreman.core.queues import JobClass
from foreman.core.states import DeliveryState, JobState, Source
from foreman.store.hooks import OVERLAP_S

YEAR_S = 365 * 24 * 3600
METADATA_LIMIT_BYTES = 4096
WAIT_LIMIT_S = 60
PAGE_LIMIT = 200
_SEQ_LIMIT = 2**31 - 1

# PostgreSQL takes every character but this one.
_TEXT = r"^[^\x00]*$"
_SCALARS = (str, int, float, bool, type(None))

Text = Annotated[str, Field(pattern=_TEXT, max_length=500)]
# What a header can carry.
HeaderText = Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")]
Seconds = Annotated[float, Field(gt=0, le=YEAR_S, allow_inf_nan=False)]

Secret = Annotated[
    str,
    Field(
        pattern=r"^whsec_[A-Za-z0-9+/]+=*$",
        max_length=200,
        description="`whsec_` and base64 of 24 to 64 bytes; left out: one is made.",
    ),
]


class Endpoint(StrEnum):
    """The Ollama routes that a job may call."""

    CHAT = "/api/chat"
    GENERATE = "/api/generate"
    EMBED = "/api/embed"
    OPENAI_CHAT = "/v1/chat/completions"
    OPENAI_COMPLETIONS = "/v1/completions"
    OPENAI_RESPONSES = "/v1/responses"
    ANTHROPIC_MESSAGES = "/v1/messages"


def _checked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    for key, value in metadata.items():
        if not isinstance(value, _SCALARS):
            raise ValueError(f"{key!r} must be a string, a number, true, false or null")
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
    except ValueError as exc:
        raise ValueError("numbers must be finite") from exc
    if len(text.encode()) > METADATA_LIMIT_BYTES:
        raise ValueError(f"at most {METADATA_LIMIT_BYTES} bytes as JSON")
    if any("\x00" in word for pair in metadata.items() for word in pair if isinstance(word, str)):
        raise ValueError("text may not contain the character U+0000")
    return metadata


Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_checked_metadata),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _TEXT},
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null"],
                "pattern": _TEXT,
            },
            "description": f"Names and plain values, at most {METADATA_LIMIT_BYTES} bytes as JSON.",
        }
    ),
]


class Sent(BaseModel):
    """A body: each value has its own type, and nothing unknown is in it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Webhook(Sent):
    """Where to send the job's events, and which; Standard Webhooks 1.0.0."""

    url: Annotated[
        str,
        Field(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20]+$", max_length=2000, repr=False),
    ]
    events: Annotated[
        list[
            Literal[
                "job.queued",
                "job.working",
                "job.succeeded",
                "job.failed",
                "job.cancelled",
                "job.expired",
            ]
        ]
        | None,
        Field(min_length=1, description="Left out: all of them."),
    ] = None
    secret: Annotated[Secret | None, Field(repr=False)] = None


class RotateRequest(Sent):
    """A job's new secret, and how long the one before signs beside it."""

    secret: Annotated[Secret | None, Field(repr=False)] = None
    overlap_seconds: Annotated[
        float,
        Field(ge=0, le=YEAR_S, allow_inf_nan=False, description="0: the old one signs no more."),
    ] = OVERLAP_S


class JobRequest(Sent):
    """A job to accept: an Ollama route and the very body for it."""

    endpoint: Endpoint
    request: Annotated[
        dict[str, Any],
        Field(description="The body for that route, with a `model`; its `stream` does not matter."),
    ]
    priority: JobClass = JobClass.BATCH
    ttl_seconds: Annotated[
        Seconds | None, Field(description="Not started within this time: expired.")
    ] = None
    deadline_seconds: Annotated[
        Seconds | None,
        Field(description="Not ended within this time: failed; still queued: expired."),
    ] = None
    max_attempts: Annotated[
        int | None, Field(ge=1, le=20, description="Left out: FOREMAN_MAX_ATTEMPTS.")
    ] = None
    metadata: Metadata = Field(default_factory=dict)
    artifacts: Annotated[
        list[Literal["stream"]],
        Field(max_length=1, description="`stream`: keep the raw chunks with their times, too."),
    ] = []
    webhook: Webhook | None = None


class ReplayRequest(Sent):
    """Which deliveries to send once more: those that were owed since then, or in between."""

    since: AwareDatetime
    until: Annotated[AwareDatetime | None, Field(description="Left out: now.")] = None
    state: Annotated[
        DeliveryState | None, Field(description="Left out: whatever became of them.")
    ] = None
    after: Annotated[Text | None, Field(description="`next` of the call before.")] = None
    dry_run: Annotated[
        bool, Field(description="Only count the deliveries that would be sent; send none.")
    ] = False


class Asked(BaseModel):
    """Query parameters: text that is read as what it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(Asked):
    """No parameter at all."""


class ListQuery(Asked):
    """Filters of the list of jobs; `metadata.NAME=VALUE` besides, one for each name."""

    state: JobState | None = None
    source: Source | None = None
    model: Text | None = None
    client: Text | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50
    after: Annotated[Text | None, Field(description="`next` of the page before.")] = None


class DeliveriesQuery(Asked):
    """Which deliveries to list."""

    state: DeliveryState | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50
    after: Annotated[UUID | None, Field(description="`next` of the page before.")] = None


class SwapsQuery(Asked):
    """Which swaps to list."""

    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50
    after: Annotated[
        int | None, Field(ge=0, le=2**63 - 1, description="`next` of the page before.")
    ] = None


class EventsQuery(Asked):
    """Which transitions, and how long to wait for one when there is none."""

    after_seq: Annotated[int, Field(ge=0, le=_SEQ_LIMIT)] = 0
    wait: Annotated[
        float, Field(ge=0, le=WAIT_LIMIT_S, allow_inf_nan=False, description="Seconds.")
    ] = 0


class RetryHeaders(BaseModel):
    """Headers of a call that makes a job, whatever its request."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[
        HeaderText | None,
        Field(
            alias="Idempotency-Key",
            max_length=255,
            description="The same key with the same request makes one job.",
        ),
    ] = None


class JobHeaders(RetryHeaders):
    """Headers of one job or of a batch."""

    client: Annotated[
        HeaderText | None,
        Field(alias="X-Foreman-Client", max_length=200, description="Who asks; a filter of lists."),
    ] = None
    target: Annotated[
        HeaderText | None,
        Field(
            alias="X-Foreman-Target", max_length=64, description="The one target that may run it."
        ),
    ] = None


class SubmitHeaders(JobHeaders):
    """Headers of one job."""

    prefer: Annotated[
        str | None,
        Field(
            alias="Prefer", description=f"`wait=N`: N seconds for its end, {WAIT_LIMIT_S} at most."
        ),
    ] = None
