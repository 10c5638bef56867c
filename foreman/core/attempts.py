"""Whether a job is tried again after what went wrong, and when."""

from foreman.errors import ForemanError, ShuttingDown, StreamBroken, TargetGivenUp

PAUSE_FIRST_S, PAUSE_LIMIT_S = 2.0, 60.0
# So that the jobs which one fault met do not all come back at the same moment.
SPREAD = 0.2

# The request did nothing wrong: too slow, too many.
_LATER = frozenset({408, 429})
_NEVER = frozenset({501})


def is_refusal(status: int) -> bool:
    """Whether a target that answered so would answer the same request so again."""
    return status in _NEVER or (400 <= status < 500 and status not in _LATER)


def may_run_again(
    error: ForemanError, *, attempt: int, max_attempts: int, is_seen: bool = False
) -> bool:
    """Whether a job that ended with `error` may start over; `is_seen`: somebody has bytes of it."""
    if is_seen or error.is_permanent or isinstance(error, StreamBroken):
        return False
    return attempt < max_attempts or not counts(error)


def counts(error: ForemanError) -> bool:
    """Whether a run that ended so is one of the job's attempts.

    No fault of the job: a worker that stops, a target that is given up for what another job met.
    """
    return not isinstance(error, ShuttingDown | TargetGivenUp)


def pause_s(attempt: int, *, luck: float) -> float:
    """Seconds before the run after `attempt`; `luck`, from -1 to 1, spreads them by a fifth."""
    doubled = PAUSE_FIRST_S * (1 << min(attempt - 1, 10))
    return min(doubled, PAUSE_LIMIT_S) * (1 + SPREAD * luck)
