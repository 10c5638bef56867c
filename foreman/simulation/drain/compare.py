"""The same arrivals through several policies, and what each comes to."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.engine import Clients, Engine
from foreman.simulation.drain.fleet import Memory
from foreman.simulation.drain.ours import Lingers, Ours
from foreman.simulation.drain.policies import POLICIES, Given
from foreman.simulation.drain.tally import ForVisits, Promises, Tally, Waits

ONE_PLACE = Memory()


@dataclass(frozen=True, slots=True)
class Ground:
    """What all policies run on: arrivals in order of time, targets, slots of each, swaps.

    `clients` make them anew for each policy, where jobs follow answers; then `arrivals` is empty.
    """

    arrivals: Sequence[Arrival]
    rules: VisitRules
    swap_s: Mapping[str, float]
    targets: int = 1
    slots: int = 1
    memory: Memory = ONE_PLACE
    is_room_known: bool = True  # False: ours knows the models' sizes, and has to find it out
    clients: Callable[[], Clients] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy on one ground; shares are of all targets' time."""

    policy: str
    jobs: int
    loads: int
    swaps: int  # loads that something was unloaded for
    causes: Mapping[str, int]
    cuts: int
    makespan_s: float
    busy_share: float  # at least one job runs
    swap_share: float
    cut_share: float  # the loads of visits that were cut
    mean_wait_s: float
    waits: Mapping[JobClass, Waits]
    for_visits: Mapping[JobClass, ForVisits]
    lingers: Lingers
    took_s: float  # of the processor, to simulate


def ground(
    arrivals: Sequence[Arrival],
    rules: VisitRules,
    *,
    swap_s: float,
    targets: int = 1,
    slots: int = 1,
    memory: Memory = ONE_PLACE,
) -> Ground:
    """Swaps that all cost the same; no job may run for longer than the longest one here did.

    A limit that no job comes near would make the bound so wide that nothing could break it.
    """
    queues = sorted({each.queue for each in arrivals})
    longest_s = max((each.seconds for each in arrivals), default=0.0)
    rules = replace(rules, job_limit_s=longest_s)
    return Ground(arrivals, rules, dict.fromkeys(queues, swap_s), targets, slots, memory)


def run(policy: str, on: Ground, *, keep: int = 0) -> tuple[Outcome, Tally]:
    """Serve all arrivals by one policy; `keep` visits and starts stay in the tally."""
    started_at = time.process_time()
    memory = on.memory
    promises = Promises(on.rules, on.swap_s, places=memory.residents)
    tally = Tally(promises, keep=keep)
    fleet = {"targets": on.targets, "slots": on.slots}
    made = POLICIES[policy](given(on))
    engine = Engine(made, tally, on.swap_s, memory=memory, **fleet)
    engine.run(on.clients() if on.clients else on.arrivals)
    lingers = made.lingers if isinstance(made, Ours) else Lingers()
    took_s = time.process_time() - started_at
    return outcome(policy, tally, on, lingers=lingers, took_s=took_s), tally


def given(on: Ground) -> Given:
    """What a policy knows at the start."""
    memory = on.memory
    if not on.is_room_known:
        # A target lists the sizes of all its models, loaded or not.
        return Given(on.rules, Room().expecting(memory.listed(on.swap_s)))
    return Given(on.rules, Room(memory.residents, memory.size_bytes, memory.sizes))


def outcome(policy: str, tally: Tally, on: Ground, *, lingers: Lingers, took_s: float) -> Outcome:
    """The figures of a tally that is closed."""
    span_s = tally.span_s or 1.0
    waits = [*tally.waits.values()]
    jobs = sum(map(len, waits))
    return Outcome(
        policy=policy,
        jobs=jobs,
        loads=tally.causes.total(),
        swaps=tally.swaps,
        causes=dict(tally.causes),
        cuts=tally.cuts,
        makespan_s=tally.span_s / on.targets,
        busy_share=tally.busy_s / span_s,
        swap_share=tally.swap_s / span_s,
        cut_share=tally.cut_s / span_s,
        mean_wait_s=sum(map(sum, waits)) / max(jobs, 1),
        waits={each: tally.waits_of(each) for each in JobClass},
        for_visits={each: tally.for_visits(each) for each in JobClass},
        lingers=lingers,
        took_s=took_s,
    )
