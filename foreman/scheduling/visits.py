"""How long a visit lasts before it may be cut: so many times its own load, by the target's load.

A visit that is cut has lasted n loads, so the loads of such visits take at most 1/(n + 1) of the
time. Where most of the time is needed for jobs, that must be little: n follows the share of time
that the measured work leaves free.
"""

import math

# Forced loads take at most this share of the time that work leaves free.
FORCED_SHARE = 0.25
FEWEST_SWAPS = 10.0
MOST_SWAPS = 80.0
# The share of time at work is measured over about this long.
MEASURED_OVER_S = 600.0


def visit_swaps(setting: float | None, utilization: float) -> float:
    """n at this share of time at work; `setting` is FOREMAN_MIN_VISIT_SWAPS, None: auto."""
    if setting is not None:
        return setting
    forced = FORCED_SHARE * max(0.0, 1.0 - utilization)
    if forced * (MOST_SWAPS + 1) <= 1:
        return MOST_SWAPS
    return max(FEWEST_SWAPS, 1 / forced - 1)


def most_visit_swaps(setting: float | None) -> float:
    """The largest n that can occur: what the bound assumes."""
    return MOST_SWAPS if setting is None else setting


def measured(utilization: float, *, at_work: bool, seconds: float) -> float:
    """The share of time at work after `seconds` more in which the target was at work, or not."""
    return at_work + (utilization - at_work) * math.exp(-seconds / MEASURED_OVER_S)
