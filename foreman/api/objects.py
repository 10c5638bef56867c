"""What foreman's own routes answer with. The same models make /openapi.json."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from foreman.core.queues import JobClass
from foreman.core.states import END_STATES, JobState, Source
from foreman.services.estimate import Estimate
from foreman.store.artifacts import ArtifactRow
from foreman.store.job_rows import EventRow, JobRow


class Shown(BaseModel):
    """An answer: every field is always there."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class Sparse(Shown):
    """An answer in which what is null is left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class Problem(Sparse):
    """An error, as RFC 9457 has it; `type` leads to its paragraph of /docs."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    field: Annotated[
        str | None, Field(description="What is wrong: a path in the body, a header, a parameter.")
    ] = None


class JobError(Shown):
    """Why a job has no result."""

    type: str
    message: str
    retryable: Annotated[bool, Field(description="Another try may go better.")]


class Usage(Shown):
    """What the target counted."""

    prompt_tokens: int | None
    output_tokens: int | None
    load_s: float | None
    prompt_eval_s: float | None
    eval_s: float | None


class QueuePlace(Shown):
    """The place of a queued job in the line of its model, and the seconds until its start."""

    position: Annotated[int, Field(ge=1)]
    eta_p50_s: float | None
    eta_p90_s: float | None


class JobUrls(Shown):
    """Where the rest of a job is."""

    self: str
    result: str
    artifacts: str
    events: str
    cancel: str
    retry: str
    deliveries: str


class JobObject(Shown):
    """One job, whole."""

    id: str
    state: JobState
    phase: Annotated[str | None, Field(description="Of a working job: loading, generating.")]
    source: Source
    endpoint: str
    model: str
    priority: Annotated[
        JobClass,
        Field(description="Of a synchronous job: by `X-Foreman-Priority` or `service_tier`."),
    ]
    target: Annotated[str | None, Field(description="The target that runs or ran it.")]
    pinned_target: str | None
    client: Annotated[str | None, Field(description="By `X-Foreman-Client`.")]
    client_address: Annotated[
        str | None, Field(description="As FOREMAN_TRUSTED_PROXIES lets it be known.")
    ]
    request_id: Annotated[str | None, Field(description="By `X-Request-Id`.")]
    traceparent: Annotated[str | None, Field(description="By `traceparent`.")]
    metadata: dict[str, Any]
    retry_of: str | None
    attempt: int
    max_attempts: int
    created_at: AwareDatetime
    queued_at: AwareDatetime
    working_at: AwareDatetime | None
    succeeded_at: AwareDatetime | None
    failed_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None
    expired_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    ready_at: Annotated[AwareDatetime | None, Field(description="Not tried again before this.")]
    expires_at: Annotated[AwareDatetime | None, Field(description="Start before this, or expire.")]
    deadline_at: Annotated[
        AwareDatetime | None,
        Field(description="End before this, or fail; still queued then: expire."),
    ]
    cancel_requested_at: AwareDatetime | None
    target_status: Annotated[int | None, Field(description="The target's HTTP status.")]
    seq: Annotated[int, Field(description="The number of its newest event.")]
    error: JobError | None
    usage: Usage | None
    queue: Annotated[
        QueuePlace | None, Field(description="While it is queued, and only of one job alone.")
    ]
    urls: JobUrls


class AcceptedObject(JobObject):
    """A job that was accepted just now."""

    webhook_secret: Annotated[
        str | None,
        Field(
            description="Made for its webhook; shown only to this request and its repeats.",
            repr=False,
        ),
    ]


class JobPage(Shown):
    """Jobs, newest first; `next` is `after` of the next page."""

    data: list[JobObject]
    has_more: bool
    next: str | None


class JobEvent(Shown):
    """One transition."""

    seq: int
    state: JobState
    attempt: int
    reason: str | None
    at: AwareDatetime


class EventPage(Shown):
    """Transitions, oldest first; `last_seq` is `after_seq` of the next call."""

    data: list[JobEvent]
    last_seq: int
    has_ended: Annotated[bool, Field(description="No further one will come.")]


class ArtifactObject(Shown):
    """Bytes that the job produced; `sha256` in hexadecimal digits."""

    name: str
    size: int
    sha256: str
    content_type: str
    url: str


class Manifest(Shown):
    """A job's artifacts."""

    data: list[ArtifactObject]


class BatchLine(Sparse):
    """What became of one line of a batch: `id` and `job_url`, or `error`."""

    index: Annotated[int, Field(description="The number of the line, from 0.")]
    status: int
    id: str | None = None
    job_url: str | None = None
    webhook_secret: Annotated[
        str | None,
        Field(
            description="Made for its webhook; shown only to this request and its repeats.",
            repr=False,
        ),
    ] = None
    error: Problem | None = None
    retry_after_s: Annotated[
        int | None, Field(description="With status 503: send the line again after so long.")
    ] = None


def job_url(job_id: object) -> str:
    return f"/jobs/{job_id}"


def job_object(job: JobRow, place: Estimate | None = None) -> JobObject:
    """A row as its callers see it."""
    ended: dict[str, Any] = {
        f"{state}_at": job.ended_at if job.state == state else None for state in sorted(END_STATES)
    }
    kept: dict[str, Any] = {name: getattr(job, name) for name in _SAME}
    return JobObject(
        **kept,
        **ended,
        id=str(job.id),
        state=JobState(job.state),
        source=Source(job.source),
        priority=JobClass(job.job_class),
        metadata=job.labels,
        retry_of=str(job.retry_of) if job.retry_of else None,
        target_status=job.status,
        error=_error(job),
        usage=_usage(job),
        queue=QueuePlace(
            position=place.position, eta_p50_s=place.eta_p50_s, eta_p90_s=place.eta_p90_s
        )
        if place
        else None,
        urls=_urls(job),
    )


# Fields that have the column's name and type.
_SAME = (
    "phase", "endpoint", "model", "target", "pinned_target", "client", "client_address",
    "request_id", "traceparent", "attempt", "max_attempts", "created_at", "queued_at",
    "working_at", "ended_at", "ready_at", "expires_at", "deadline_at", "cancel_requested_at",
    "seq",
)  # fmt: skip


def _error(job: JobRow) -> JobError | None:
    if job.error_code is None:
        return None
    return JobError(
        type=job.error_code,
        message=job.error_message or job.error_code,
        retryable=not job.error_is_permanent,
    )


def _usage(job: JobRow) -> Usage | None:
    counted = {name: getattr(job, name) for name in Usage.model_fields}
    return Usage(**counted) if any(value is not None for value in counted.values()) else None


def _urls(job: JobRow) -> JobUrls:
    whole = job_url(job.id)
    parts = {name: f"{whole}/{name}" for name in JobUrls.model_fields if name != "self"}
    return JobUrls(self=whole, **parts)


def accepted_object(job: JobRow, webhook_secret: str | None) -> AcceptedObject:
    shown = job_object(job)
    return AcceptedObject.model_construct(**dict(shown), webhook_secret=webhook_secret)


def event_object(event: EventRow) -> JobEvent:
    return JobEvent(
        seq=event.seq,
        state=JobState(event.state),
        attempt=event.attempt,
        reason=event.reason,
        at=event.at,
    )


def artifact_object(artifact: ArtifactRow) -> ArtifactObject:
    return ArtifactObject(
        name=artifact.name,
        size=artifact.size_bytes,
        sha256=artifact.sha256,
        content_type=artifact.content_type,
        url=f"{job_url(artifact.job_id)}/artifacts/{artifact.name}",
    )
