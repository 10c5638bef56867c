"""What the routes about queues and swaps answer with."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from foreman.api.objects import Shown
from foreman.core.queues import JobClass
from foreman.scheduling.prospect import QueueReport, ResidentReport, TargetReport
from foreman.scheduling.room import Room
from foreman.store.ledger import Savings, SwapRow


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
    bound_s: Annotated[
        dict[JobClass, float],
        Field(
            description="The promise: it is loaded within this time, whatever else comes. Of each"
            " priority that waits, where no target has it loaded. It never grows for a job."
        ),
    ]
    starts_p50_s: Annotated[
        float | None,
        Field(description="The forecast: one in two times its next job starts within this time."),
    ]
    starts_p90_s: Annotated[float | None, Field(description="Nine in ten times. No promise.")]
    why: Annotated[str, Field(description="Why it is served now, or is not.")]


class ResidentObject(Shown):
    """A residency that a target has loaded, or is loading."""

    queue: str
    model: str | None
    size_bytes: Annotated[int, Field(description="In the memory of the target; 0: not known.")]
    is_pinned: Annotated[bool, Field(description="It is never unloaded to make room.")]
    since_s: Annotated[float, Field(description="Seconds since it was loaded or its load began.")]
    running: Annotated[int, Field(description="Its jobs that run now.")]


class TogetherObject(Shown):
    """So many models of so many bytes together."""

    residents: int
    size_bytes: int


class RoomObject(Shown):
    """What a target can hold at the same time: as FOREMAN_TARGETS says, and as was learned."""

    residents: Annotated[int | None, Field(description="The most models; null: not stated.")]
    memory_bytes: Annotated[int | None, Field(description="Of all models; null: not stated.")]
    sizes: Annotated[dict[str, int], Field(description="Bytes of what was loaded, by queue.")]
    fits: Annotated[TogetherObject, Field(description="The most that was seen loaded together.")]
    clashes: Annotated[
        list[TogetherObject], Field(description="What drove something out; the smallest.")
    ]


class LingersObject(Shown):
    """Empty models that were kept although another waited, in the last hour."""

    ended: int
    answered: Annotated[int, Field(description="Those that a job ended: each saved a load.")]
    wasted_s: Annotated[float, Field(description="Seconds of the others.")]


class TargetObject(Shown):
    """One target: what it has loaded, and what it has room for."""

    name: str
    is_live: Annotated[bool, Field(description="A worker drives it.")]
    sick_reason: Annotated[str | None, Field(description="Why it does no work; null: it does.")]
    residents: list[ResidentObject]
    loading: list[ResidentObject]
    reason: Annotated[str | None, Field(description="Of its newest load.")]
    room: RoomObject
    lingers: LingersObject


class QueueList(Shown):
    """Every residency that has work or is loaded, the longest wait first; some seconds old."""

    data: list[QueueObject]
    targets: list[TargetObject]


class SwapObject(Shown):
    """One load: what a target loaded, what went for it, why, and what it cost."""

    id: int
    at: AwareDatetime
    target: str
    to_queue: str
    unloaded: Annotated[list[str], Field(description="Queues whose visits it ended.")]
    reason: Annotated[
        str, Field(description="first, fits, tried, drained, overdue, pinned, repair")
    ]
    cost_s: Annotated[float | None, Field(description="Null: the load failed.")]
    jobs_served: Annotated[int, Field(description="In the visits that ended.")]
    head_wait_s: Annotated[float | None, Field(description="Of the job that it was made for.")]
    lingers: Annotated[int, Field(description="In the visits that ended.")]
    lingers_answered: Annotated[int, Field(description="Those of them that a job ended.")]
    linger_wasted_s: Annotated[float, Field(description="Seconds of the others.")]


class SwapTotals(Shown):
    """The loads for the newest jobs, against first in, first out with one model at a time."""

    jobs: Annotated[int, Field(description="At most 20000.")]
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


def target_object(report: TargetReport) -> TargetObject:
    return TargetObject(
        name=report.name,
        is_live=report.is_live,
        sick_reason=report.sick_reason,
        residents=[_resident_object(each) for each in report.residents],
        loading=[_resident_object(each) for each in report.loading],
        reason=report.reason,
        room=_room_object(report.room),
        lingers=LingersObject(
            ended=report.lingers,
            answered=report.lingers_answered,
            wasted_s=report.linger_wasted_s,
        ),
    )


def _resident_object(report: ResidentReport) -> ResidentObject:
    return ResidentObject(**{name: getattr(report, name) for name in ResidentObject.model_fields})


def _room_object(room: Room) -> RoomObject:
    return RoomObject(
        residents=room.residents,
        memory_bytes=room.memory_bytes,
        sizes=dict(room.sizes),
        fits=TogetherObject(residents=room.seen_count, size_bytes=room.seen_bytes),
        clashes=[
            TogetherObject(residents=each.count, size_bytes=each.size_bytes)
            for each in room.clashes
        ],
    )


def swap_object(row: SwapRow) -> SwapObject:
    return SwapObject(**{name: getattr(row, name) for name in SwapObject.model_fields})


def totals_of(savings: Savings) -> SwapTotals:
    return SwapTotals(
        jobs=savings.jobs,
        swaps=savings.swaps,
        swaps_avoided=max(savings.fifo_swaps - savings.swaps, 0),
        gpu_seconds_saved=savings.fifo_cost_s - savings.cost_s,
    )
