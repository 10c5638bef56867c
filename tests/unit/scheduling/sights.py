"""What a target's rules look at, for tests: it is 1000 s, and loads take 5 s."""

from typing import Any

from foreman.scheduling.policy import decide
from foreman.scheduling.rhythm import Rhythm
from foreman.scheduling.room import Room
from foreman.scheduling.values import Demand, Plan, Resident, Sight, VisitRules

NOW, LOAD_S = 1000.0, 5.0
RULES = VisitRules(max_wait_interactive_s=30, max_wait_batch_s=600, job_limit_s=1800)
# A job every two seconds, a gap of one.
BUSY = Rhythm(arrivals=tuple(NOW - 2 * n for n in range(8, 0, -1)), gaps=(1.0,) * 8)
QUIET = Rhythm(arrivals=(NOW - 900, NOW - 800))


def waits(queue: str, seconds: float | None = None, **changes: Any) -> Demand:
    """An interactive job of `queue` has waited for so long."""
    at = None if seconds is None else NOW - seconds
    batch_s = changes.pop("batch_s", None)
    batch_at = None if batch_s is None else NOW - batch_s
    return Demand(queue, at, batch_at, changes.pop("load_s", LOAD_S), **changes)


def loaded(queue: str, **changes: Any) -> Resident:
    """Loaded a minute ago, at rest since a minute, and not known to be needed soon."""
    given: dict[str, Any] = {
        "load_s": LOAD_S,
        "visit_at": NOW - 60,
        "jobs": 1,
        "answered_at": NOW - 60,
        "rhythm": QUIET,
    }
    return Resident(queue, **(given | changes))


def room(**sizes: int) -> Room:
    """Memory for 10, at most three residents."""
    return Room(residents=3, memory_bytes=10, sizes=sizes)


def decided(
    residents: list[Resident],
    demands: list[Demand],
    *,
    rules: VisitRules = RULES,
    **changes: Any,
) -> Plan:
    """With room for one, unless the test says so."""
    given: dict[str, Any] = {"room": Room(residents=1), "visit_swaps": 10.0}
    plans = [
        decide(rules, Sight(NOW, each, demands, **(given | changes)))
        for each in (residents, residents[::-1])
    ]
    assert plans[0] == plans[1], "the order of the residents must not matter"
    return plans[0]
