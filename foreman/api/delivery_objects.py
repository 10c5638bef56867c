"""What the routes about deliveries answer with. The same models make /openapi.json."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from foreman.api.objects import Shown
from foreman.core.display import printable, url_without_query
from foreman.core.states import DeliveryState
from foreman.core.webhooks import AttemptError
from foreman.store.deliveries import DeliveryRow


class AttemptObject(Shown):
    """One HTTP try."""

    number: int
    at: AwareDatetime
    status: Annotated[int | None, Field(description="None: there was no answer.")]
    ms: int
    excerpt: Annotated[
        str | None,
        Field(
            description="The beginning of what the receiver answered;"
            " null unless FOREMAN_ALLOW_ADMIN is 1."
        ),
    ]
    error: Annotated[AttemptError | None, Field(description="None: it was accepted.")]


class DeliveryObject(Shown):
    """What is owed to a receiver for one event; `id` is the webhook-id of each attempt."""

    id: str
    job_id: str
    seq: int
    type: str
    url: Annotated[
        str, Field(description="Its query is shown as `…` unless FOREMAN_ALLOW_ADMIN is 1.")
    ]
    state: DeliveryState
    next_at: Annotated[AwareDatetime | None, Field(description="When it is due, while pending.")]
    created_at: AwareDatetime
    ended_at: AwareDatetime | None
    attempts: list[AttemptObject]


class Deliveries(Shown):
    """The deliveries of one job."""

    data: list[DeliveryObject]


class DeliveryPage(Shown):
    """Deliveries, newest first; `next` is `after` of the next page."""

    data: list[DeliveryObject]
    has_more: bool
    next: str | None


class Replayed(Shown):
    """How many deliveries this call has made due; `next` is `after` of the call for the rest."""

    count: int
    has_more: bool
    next: str | None


class ReplayCount(Shown):
    """How many deliveries a replay would send; nothing was scheduled."""

    count: int
    dry_run: Literal[True] = True


class RotatedSecret(Shown):
    """The secret that signs for a job from now on, and how long the one before does beside it."""

    webhook_secret: Annotated[str, Field(repr=False)]
    overlap_seconds: float


def delivery_object(row: DeliveryRow, *, is_admin: bool) -> DeliveryObject:
    """A row of the ledger as its callers see it.

    What a receiver answers may come from a private service that only foreman can reach.
    """
    return DeliveryObject(
        id=str(row.id),
        job_id=str(row.job_id),
        seq=row.seq,
        type=row.type,
        url=row.url if is_admin else url_without_query(row.url),
        state=row.state,
        next_at=row.next_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
        attempts=[
            AttemptObject(
                number=each.number,
                at=each.at,
                status=each.status,
                ms=each.ms,
                excerpt=printable(each.excerpt) if is_admin else None,
                error=each.error_class,
            )
            for each in row.attempts
        ],
    )
