"""Whether jobs start when the forecast says so: half of them by p50, most by p90."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.forecast import Eta, WaitingWork, foresee, soonest_eta
from foreman.scheduling.room import Room
from foreman.scheduling.values import Demand, Resident, VisitRules
from foreman.scheduling.visits import visit_swaps
from foreman.simulation.drain.arrivals import Load, poisson
from foreman.simulation.drain.engine import Engine
from foreman.simulation.drain.fleet import Fleet, Memory, OpenVisit, SimulatedTarget
from foreman.simulation.drain.ours import Ours
from foreman.simulation.drain.steps import Step
from foreman.simulation.drain.tally import Promises, Tally

RULES, RUN_S, SWAP_S = VisitRules(job_limit_s=20.0), 2.0, 5.0


@dataclass
class Forecasting:
    """Ours, with a forecast for each job that comes."""

    ours: Ours
    places: int
    arrives_per_s: dict[str, float]
    foreseen: dict[int, Eta] = field(default_factory=dict)
    started: list[tuple[float, Eta]] = field(default_factory=list)  # seconds waited

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        self.ours.arrived(job, fleet)
        (target,) = fleet.targets
        waiting = fleet.waiting[job.queue]
        ahead = len(waiting.interactive)
        if job.job_class is JobClass.BATCH:
            ahead += len(waiting.batch)
        stays = foresee(
            RULES,
            fleet.now,
            [_resident(each, target) for each in target.residents.values()]
            + ([_resident(target.loading, target)] if target.loading else []),
            [self._work(queue, target, fleet) for queue in fleet.waiting],
            places=self.places,
            slots=1,
            visit_swaps=visit_swaps(None, target.utilization(fleet.now)),
        )
        self.foreseen[id(job)] = soonest_eta(
            [(1, stays[job.queue])], position=ahead - 1, run_s=RUN_S
        )

    def _work(self, queue: str, target: SimulatedTarget, fleet: Fleet) -> WaitingWork:
        waiting = fleet.waiting[queue]
        demand = Demand(
            queue,
            waiting.interactive[0].at if waiting.interactive else None,
            waiting.batch[0].at if waiting.batch else None,
            SWAP_S,
            target.left_at.get(queue, -float("inf")),
        )
        jobs = len(waiting.interactive) + len(waiting.batch)
        return WaitingWork(demand, jobs, RUN_S, self.arrives_per_s[queue])

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        step = self.ours.step(target, fleet)
        if isinstance(step, Arrival):
            self.started.append((fleet.now - step.at, self.foreseen.pop(id(step))))
        return step

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self.ours.ended(target, visit, fleet)

    def loaded(self, target: SimulatedTarget, before: tuple[str, ...], fleet: Fleet) -> None:
        self.ours.loaded(target, before, fleet)

    def unloaded(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self.ours.unloaded(target, visit, fleet)


def _resident(visit: OpenVisit, target: SimulatedTarget) -> Resident:
    is_loading = visit is target.loading
    return Resident(visit.queue, visit.load_s, visit.began_at, visit.running, is_loading=is_loading)


@pytest.mark.parametrize(("places", "rho"), [(1, 0.45), (1, 0.75), (1, 0.95), (2, 0.75)])
def test_about_half_of_the_jobs_start_by_p50_and_most_by_p90(places: int, rho: float) -> None:
    load = Load(jobs=4000, rho=rho, seed=5)
    arrivals = list(poisson(load))
    counts, span_s = Counter(each.queue for each in arrivals), arrivals[-1].at
    rates = {queue: count / span_s for queue, count in counts.items()}
    policy = Forecasting(Ours(RULES, Room(residents=places)), places, rates)
    load_s = dict.fromkeys(load.queues, SWAP_S)
    tally = Tally(Promises(RULES, load_s, places=places))

    Engine(policy, tally, load_s, memory=Memory(places)).run(arrivals)

    by_p50 = sum(waited_s <= each.p50_s + 1e-6 for waited_s, each in policy.started)
    by_p90 = sum(waited_s <= each.p90_s + 1e-6 for waited_s, each in policy.started)
    assert 0.3 < by_p50 / len(arrivals) < 0.7
    assert 0.8 < by_p90 / len(arrivals) < 0.97
