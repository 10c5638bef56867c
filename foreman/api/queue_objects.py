"""What the routes about queues and swaps answer with."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from foreman.api.objects import Shown
from foreman.core.prospect import QueueReport
from foreman.core.queues import JobClass
from foreman.store.queue_rows import Savings, SwapRow


class QueueObject(Shown):
    """One residency that has work or is loaded. Times in seconds."""

    queue: Annotated[str, Field(description="Its Celery queue; `~batch` has a queue beside it.")]
    model: str
    waiting: Annotated[dict[JobClass, int], Field(description="Jobs that wait, by priority.")]
    oldest_wait_s: Annotated[
        dict[JobClass, float], Field(description="How long the oldest of them has waited.")
    ]
    resident_on: Annotated[list[str], Field(description="Targets that have it loaded.")]
    loading_on: Annotated[list[str], Field(description="Targets that are loading it now.")]
    run_p50_s: float | None
    run_p90_s: float | None
    swap_s: Annotated[dict[str, float], Field(description="What loading it costs, by target.")]
    starts_p50_s: Annotated[float | None, Field(description="Its next job starts in, usually.")]
    starts_p90_s: float | None
    bound_s: Annotated[
        dict[JobClass, float],
        Field(description="Its next visit starts within it; its last job may wait for another."),
    ]
    why: Annotated[str, Field(description="Why it is served now, or is not.")]


class QueueList(Shown):
    """Every residency that has work or is loaded, the longest wait first; some seconds old."""

    data: list[QueueObject]


class SwapObject(Shown):
    """One swap: what a target changed to, why, and what it cost."""

    id: int
    at: AwareDatetime
    target: str
    from_queue: str | None
    to_queue: str
    reason: Annotated[str, Field(description="first, drained, overdue, repair")]
    cost_s: Annotated[float | None, Field(description="Null: the load failed.")]
    jobs_served: Annotated[int, Field(description="In the visit that ended.")]
    head_wait_s: Annotated[float | None, Field(description="Of the job that it was made for.")]
    fifo_swaps: Annotated[
        int, Field(description="What first in, first out would have made for the same jobs.")
    ]
    saved_s: Annotated[float, Field(description="Seconds of the GPU against it.")]


class SwapTotals(Shown):
    """All swaps that are kept, against first in, first out on the same arrivals."""

    swaps: int
    swaps_avoided: int
    gpu_seconds_saved: float


class SwapPage(Shown):
    """A page of swaps, newest first."""

    data: list[SwapObject]
    has_more: bool
    next: Annotated[str | None, Field(description="The `after` of the next page.")]
    totals: SwapTotals


def queue_object(report: QueueReport) -> QueueObject:
    fields = {name: getattr(report, name) for name in QueueObject.model_fields}
    return QueueObject.model_validate(fields)


def swap_object(row: SwapRow) -> SwapObject:
    return SwapObject(**{name: getattr(row, name) for name in SwapObject.model_fields})


def totals_of(savings: Savings) -> SwapTotals:
    return SwapTotals(
        swaps=savings.swaps,
        swaps_avoided=max(savings.fifo_swaps - savings.swaps, 0),
        gpu_seconds_saved=savings.saved_s,
    )
