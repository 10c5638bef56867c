"""The same arrivals through several policies, and what each comes to."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from foreman.core.arrivals import Arrival
from foreman.core.drain import Rules
from foreman.core.queues import JobClass
from foreman.simulation.drain.engine import Engine
from foreman.simulation.drain.policies import POLICIES
from foreman.simulation.drain.tally import ForVisits, Tally, Waits, bounds


@dataclass(frozen=True, slots=True)
class Ground:
    """What all policies run on: arrivals in order of time, targets, slots of each, swaps."""

    arrivals: Sequence[Arrival]
    rules: Rules
    swap_s: Mapping[str, float]
    targets: int = 1
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy on one ground; shares are of all targets' time."""

    policy: str
    jobs: int
    swaps: int
    causes: Mapping[str, int]
    cuts: int
    makespan_s: float
    busy_share: float  # at least one job runs
    swap_share: float
    cut_share: float  # the loads of visits that were cut
    waits: Mapping[JobClass, Waits]
    for_visits: Mapping[JobClass, ForVisits]
    took_s: float  # to simulate


def ground(
    arrivals: Sequence[Arrival], rules: Rules, *, swap_s: float, targets: int = 1, slots: int = 1
) -> Ground:
    """Swaps that all cost the same; no job may run for longer than the longest one here did.

    A limit that no job comes near would make the bound so wide that nothing could break it.
    """
    queues = sorted({each.queue for each in arrivals})
    longest_s = max((each.seconds for each in arrivals), default=0.0)
    rules = replace(rules, job_limit_s=longest_s)
    return Ground(arrivals, rules, dict.fromkeys(queues, swap_s), targets, slots)


def run(policy: str, on: Ground, *, keep: int = 0) -> tuple[Outcome, Tally]:
    """Serve all arrivals by one policy; `keep` visits and starts stay in the tally."""
    started_at = time.perf_counter()
    tally = Tally(bounds(on.rules, on.swap_s), keep=keep)
    engine = Engine(
        POLICIES[policy](on.rules), tally, on.swap_s, targets=on.targets, slots=on.slots
    )
    engine.run(on.arrivals)
    return outcome(policy, tally, on, took_s=time.perf_counter() - started_at), tally


def outcome(policy: str, tally: Tally, on: Ground, *, took_s: float) -> Outcome:
    """The figures of a tally that is closed."""
    span_s = tally.span_s or 1.0
    return Outcome(
        policy=policy,
        jobs=len(on.arrivals),
        swaps=tally.causes.total(),
        causes=dict(tally.causes),
        cuts=tally.cuts,
        makespan_s=tally.span_s / on.targets,
        busy_share=tally.busy_s / span_s,
        swap_share=tally.swap_s / span_s,
        cut_share=tally.cut_s / span_s,
        waits={each: tally.waits_of(each) for each in JobClass},
        for_visits={each: tally.for_visits(each) for each in JobClass},
        took_s=took_s,
    )
