"""When waiting jobs will start if nothing else comes: the drain policy, run ahead of time.

A forecast, not a promise: the promise is `core.drain.wait_bound_s`. The same policy decides here
that will decide then, over the waits as they will be, with runs as long as they have been.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from foreman.core.drain import Action, Line, Rules, decide, overdue, wait_s

# Visits looked ahead; what starts after them has no forecast.
HORIZON = 64


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits of one residency, and what one of its runs takes."""

    line: Line
    count: int
    run_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a target stands now."""

    resident: str | None
    dwell_s: float
    swap_in_s: float
    running: int
    slots: int


@dataclass(frozen=True, slots=True)
class Stay:
    """A part of the future: `count` jobs of a residency, the first after `starts_s` seconds."""

    queue: str
    starts_s: float
    count: int


def foresee(rules: Rules, standing: Standing, backlogs: Sequence[Backlog]) -> Iterator[Stay]:
    """The visits of one target until nothing waits or the horizon is reached.

    Each costs time in proportion to what waits, so a caller may pause between two of them.
    """
    left = {each.line.queue: each for each in backlogs if each.count}
    now_s, resident = 0.0, standing.resident
    dwell_s, swap_in_s = standing.dwell_s, standing.swap_in_s
    if resident is None or standing.running < standing.slots:
        begin_s = 0.0
    else:  # a slot is free after half a run, on average
        begin_s = _run_s(left, resident) / 2
    for _ in range(HORIZON):
        if not left:
            break
        lines = [_aged(each.line, now_s) for each in left.values()]
        decision = decide(
            rules=rules,
            resident=resident,
            dwell_s=dwell_s,
            running=0,
            lines=lines,
            swap_in_s=swap_in_s,
        )
        if decision.action is Action.LISTEN or decision.queue is None:
            break  # only what another target has loaded
        backlog = left[decision.queue]
        if decision.action is Action.SWAP:
            # Jobs of the old residency end first, all at once.
            now_s += begin_s + backlog.line.swap_s
            resident, dwell_s, swap_in_s = decision.queue, 0.0, backlog.line.swap_s
        else:
            now_s += begin_s
        begin_s = 0.0
        served = _served(rules, standing.slots, backlog, left, now_s, dwell_s, swap_in_s)
        yield Stay(decision.queue, now_s, served)
        took_s = -(-served // standing.slots) * backlog.run_s
        now_s, dwell_s = now_s + took_s, dwell_s + took_s
        _take(left, decision.queue, served)


def eta_s(stays: Sequence[Stay], queue: str, *, position: int, slots: int, run_s: float) -> float:
    """Seconds until the job at `position` (from 0) of a residency starts; inf: not foreseen."""
    before = position
    for stay in stays:
        if stay.queue == queue:
            if before < stay.count:
                return stay.starts_s + before // slots * run_s
            before -= stay.count
    return float("inf")


def _served(
    rules: Rules,
    slots: int,
    backlog: Backlog,
    left: Mapping[str, Backlog],
    now_s: float,
    dwell_s: float,
    swap_in_s: float,
) -> int:
    """How many jobs the visit takes: all, or as many as it can until it is cut."""
    others = [each.line for queue, each in left.items() if queue != backlog.line.queue]
    due_s = min((_due_s(rules, line) - now_s for line in others), default=float("inf"))
    lasts_s = max(due_s, rules.kappa * swap_in_s - dwell_s)
    if lasts_s == float("inf") or backlog.run_s <= 0:
        return backlog.count
    rounds = max(1, int(lasts_s // backlog.run_s) + 1)
    return min(backlog.count, rounds * slots)


def _due_s(rules: Rules, line: Line) -> float:
    """In how many seconds from the start the residency is overdue."""
    if overdue(line, rules):
        return 0.0
    waits = []
    if line.interactive_s is not None:
        waits.append(rules.max_wait_interactive_s - line.interactive_s)
    if line.batch_s is not None:
        waits.append(rules.max_wait_batch_s - line.batch_s)
    return min(waits, default=float("inf"))


def _aged(line: Line, by_s: float) -> Line:
    """The line as it will be in `by_s` seconds."""
    return Line(  # not `replace`, which takes three times as long
        line.queue,
        None if line.interactive_s is None else line.interactive_s + by_s,
        None if line.batch_s is None else line.batch_s + by_s,
        line.swap_s,
        line.idle_s + by_s,
        line.is_elsewhere,
    )


def _take(left: dict[str, Backlog], queue: str, served: int) -> None:
    backlog = left[queue]
    if served >= backlog.count:
        del left[queue]
        return
    # What a cut visit leaves behind has been unserved since its end.
    line = replace(backlog.line, idle_s=0.0)
    left[queue] = replace(backlog, count=backlog.count - served, line=line)


def _run_s(left: Mapping[str, Backlog], queue: str) -> float:
    return left[queue].run_s if queue in left and wait_s(left[queue].line) is not None else 0.0
