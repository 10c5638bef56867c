"""The states of jobs and deliveries, and the moves between them, as tables."""

from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"  # waiting in its model queue
    WORKING = "working"  # a worker holds a lease for it
    SUCCEEDED = "succeeded"  # the target answered; synchronous: whatever its status
    FAILED = "failed"  # there is no answer, or, asynchronous, the target's is an error
    CANCELLED = "cancelled"  # the client left, or asked for it
    EXPIRED = "expired"  # not started, or not started again, in time


class Phase(StrEnum):
    """What a working job is at."""

    LOADING = "loading"  # the target is loading its residency
    GENERATING = "generating"


MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.WORKING, JobState.CANCELLED, JobState.EXPIRED}),
    # Back to queued: to be tried again, given back by a stopping worker, taken from a lost one.
    JobState.WORKING: frozenset(
        {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

END_STATES = frozenset(state for state, moves in MOVES.items() if not moves)


class Source(StrEnum):
    SYNC = "sync"  # a client waits on its connection; the row may be lost with the machine
    ASYNC = "async"  # accepted with 202; the row must not be lost


class DeliveryState(StrEnum):
    PENDING = "pending"  # owed: sent when it is due
    SUCCEEDED = "succeeded"  # the receiver answered 2xx
    FAILED = "failed"  # no attempt is left, or the receiver is gone (410)


# Back to pending: somebody asks for it to be sent again.
DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset({DeliveryState.SUCCEEDED, DeliveryState.FAILED}),
    DeliveryState.SUCCEEDED: frozenset({DeliveryState.PENDING}),
    DeliveryState.FAILED: frozenset({DeliveryState.PENDING}),
}


def can_move(old: JobState, new: JobState) -> bool:
    """Whether a job in state `old` may become `new`."""
    return new in MOVES[old]
