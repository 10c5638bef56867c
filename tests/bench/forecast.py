"""What a web process's forecasts cost: `python -m tests.bench.forecast [--queues N] [--targets N]`.

The CPU time of one computation over all queues, in this process alone: it is made once a second.
"""

import argparse
import random
import time

from foreman.core.outlook import Cost
from foreman.core.queues import JobClass
from foreman.core.steps import finished
from foreman.core.waiting import Waiting
from foreman.parsing import TargetSpec
from foreman.runtime import keep_for_good
from foreman.scheduling.prospect import RunTimes
from foreman.scheduling.values import VisitRules
from foreman.services.prospects import Promises, prospects
from foreman.store.queue_rows import QueueFacts, ResidentState, TargetState
from tests.bench.figures import median, percentile

AIM_MS = 10.0
RULES = VisitRules()
RESIDENTS = 2
READ_AT = 1000.0


def queues(residencies: int, targets: int, *, seed: int = 1) -> QueueFacts:
    """Both classes of each residency wait; each target holds two of them, and knows all costs."""
    luck = random.Random(seed)
    names = [f"q{number}" for number in range(residencies)]
    rows = [
        Waiting(name, job_class, None, name, luck.uniform(0, 100), luck.randint(1, 20))
        for name in names
        for job_class in JobClass
    ]
    times = {name: RunTimes(5.0, 9.0, luck.uniform(1, 10), 0.001) for name in names}
    states = [
        TargetState(
            name=f"gpu{number}",
            slots=4,
            is_live=True,
            sick_reason=None,
            reason=None,
            residents=[
                ResidentState(names[RESIDENTS * number + each], "m", 4, False, False, 1.0)
                for each in range(RESIDENTS)
            ],
            costs={name: Cost(luck.uniform(2, 20), luck.uniform(0, 500)) for name in names},
        )
        for number in range(targets)
    ]
    return QueueFacts(rows, states, times, READ_AT)


def measure_ms(facts: QueueFacts, rounds: int) -> list[float]:
    """CPU milliseconds of each computation; the promises of one are those made before the next."""
    specs = [TargetSpec(name=each.name, url="http://none", slots=4) for each in facts.targets]
    able = frozenset(each.name for each in facts.targets)
    promises: Promises = {}
    took = []
    keep_for_good()  # as a web process does
    for _ in range(rounds):
        began_at = time.thread_time()
        made = finished(prospects(facts, RULES, specs, lambda model: able, promises), lambda: None)
        took.append((time.thread_time() - began_at) * 1000)
        promises = made.promises
    return took


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecast", description=__doc__)
    parser.add_argument("--queues", type=int, default=200)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    took = measure_ms(queues(args.queues, args.targets), args.rounds)
    is_met = "met" if median(took) <= AIM_MS else "missed"
    print(
        f"{args.queues} residencies on {args.targets} targets: median {median(took):.1f} ms of CPU,"
        f" least {min(took):.1f}, p95 {percentile(took, 95):.1f}; aim ≤ {AIM_MS:g} ms: {is_met}"
    )


if __name__ == "__main__":
    main()
