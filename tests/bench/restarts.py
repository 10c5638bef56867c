"""Restart the web process under load and count the jobs: `python -m tests.bench.restarts`."""

import argparse
import sys

from foreman.simulation.process import SimulationProcess
from tests.bench.ground import RABBITMQ, REDIS, Ground
from tests.restarts import restart_under_load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.restarts", description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="restarts on each broker")
    times = parser.parse_args().times
    bypassed = 0
    target = SimulationProcess(demo=True, load_s=0, tokens=3, tokens_per_s=200, slots=4)
    with Ground() as ground, target:
        for name in (REDIS, RABBITMQ):
            with ground.stack(name, target, slots=4) as stack:
                count = restart_under_load(stack, target, times=times)
            print(f"{name}, {times} restarts: {count}", flush=True)
            bypassed += count.statuses[200] - count.rows
    return 1 if bypassed else 0


if __name__ == "__main__":
    sys.exit(main())
