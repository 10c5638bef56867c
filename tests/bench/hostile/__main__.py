"""Paced streams while foreman is attacked: `python -m tests.bench.hostile [--way redis|rabbitmq]`.

Fifty streams run twice, alone and under attack (see `attack`), and after each run the table says
how much slower than its pace the slowest one was, how late the web process's heartbeat came, and
how long its health endpoint took. Attackers, load, servers and foreman share one machine.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg

from foreman.embedded.probe import get
from foreman.simulation.process import SimulationProcess
from tests.bench.figures import percentile
from tests.bench.ground import RABBITMQ, REDIS, SETTINGS, Ground, Scene
from tests.bench.hostile import big
from tests.bench.hostile.attack import SILENT
from tests.bench.latency import warm_up
from tests.bench.measure import load_on, measure
from tests.fakes.raw_target import RawTarget
from tests.stack import Stack

STREAMS, TOKENS, TOKENS_PER_S = 50, 300, 10.0
SLOTS = 64
PACED_S = TOKENS / TOKENS_PER_S
SLOWEST_AIM = 1.2
LOOK_EVERY_S = 0.25


@dataclass
class Watch:
    """What was seen of the web process meanwhile, in seconds."""

    beat_ages: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    unhealthy: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hostile", description=__doc__)
    parser.add_argument("--way", choices=("redis", "rabbitmq", "both"), default="both")
    parser.add_argument("--silent", type=int, default=SILENT, help="silent connections")
    args = parser.parse_args()
    ways = {"redis": (REDIS,), "rabbitmq": (RABBITMQ,), "both": (REDIS, RABBITMQ)}[args.way]
    is_met = True
    with Ground() as ground:
        for way in ways:
            with _scene(ground, way) as scene:
                warm_up(scene)
                print(f"\n{way}: {STREAMS} streams of {PACED_S:g} s")
                alone = _streams(scene, way)
                with _attacked(scene.ways[way].url, args.silent) as attackers:
                    slowest = _streams(scene, way)
                _show_attack(attackers)
            print(f"slowest ÷ pace: {alone:.3f} alone, {slowest:.3f} under attack")
            is_met = is_met and slowest <= SLOWEST_AIM
    sys.exit(0 if is_met else 1)


@contextmanager
def _scene(ground: Ground, way: str) -> Iterator[Scene]:
    """A target for the streams, and one whose answers are huge."""
    speed = {"tokens": TOKENS, "tokens_per_s": TOKENS_PER_S}
    with ExitStack() as running:
        gpu = running.enter_context(SimulationProcess(demo=True, load_s=0, slots=SLOTS, **speed))
        models = running.enter_context(SimulationProcess(load_s=0))
        huge = running.enter_context(RawTarget(models.url))
        huge.script = big.send_big_line
        stack = Stack(
            database_url=ground.postgres.create_database(),
            broker_url=ground.broker_url(way),
            targets=f"gpu={gpu.url}?slots={SLOTS},{big.BIG_TARGET}={huge.url}?slots={big.SLOTS}",
            workers=2,
            settings=SETTINGS,
            is_migrated=False,
        )
        running.enter_context(stack)
        stack.wait_for_targets(2)
        scene = Scene({way: ground.way(way, stack)}, TOKENS)
        scene.ways[way].pids["target"] = gpu.pid
        yield scene


def _streams(scene: Scene, way: str) -> float:
    """Run the streams; how much slower than its pace the slowest one was."""
    load = load_on(scene.ways[way], clients=STREAMS, streams_each=1, spread_s=1.0)
    with _watched() as watch:
        run = measure(scene, scene.ways[way], load)
    times = [sample.total_s / PACED_S for sample in run.samples]
    cpu_s = ", ".join(f"{name} {spent:.1f}" for name, spent in run.cpu_s.items())
    print(f"  whole ÷ pace: p50 {percentile(times, 50):.3f}, slowest {max(times):.3f}")
    print(f"  heartbeat at most {max(watch.beat_ages):.1f} s old, of a lease of 15 s")
    print(
        f"  /healthz: p50 {percentile(watch.health, 50) * 1000:.0f} ms, slowest"
        f" {max(watch.health) * 1000:.0f} ms, {watch.unhealthy} of {len(watch.health)} failed"
    )
    print(f"  CPU s: {cpu_s}; machine busy {run.busy:.0%}")
    return max(times)


@contextmanager
def _watched() -> Iterator[Watch]:
    stack, watch, ended = Stack.running()[-1], Watch(), threading.Event()

    def look() -> None:
        query = "SELECT extract(epoch FROM now() - max(seen_at)) FROM web_processes"
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            while not ended.wait(LOOK_EVERY_S):
                row = connection.execute(query).fetchone()
                watch.beat_ages.append(float(row[0]) if row else 0.0)
                began = time.monotonic()
                watch.unhealthy += get(f"{stack.url}/healthz", timeout_s=10) is None
                watch.health.append(time.monotonic() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


@contextmanager
def _attacked(url: str, silent: int) -> Iterator["subprocess.Popen[str]"]:
    """Attackers from now on, for nearly as long as the streams take."""
    port = url.rpartition(":")[2]
    options = [port, str(PACED_S), str(silent)]
    command = [sys.executable, "-m", "tests.bench.hostile.attack", *options]
    attackers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield attackers
    finally:
        attackers.poll()


def _show_attack(attackers: "subprocess.Popen[str]") -> None:
    printed, _ = attackers.communicate(timeout=180)
    print(f"  {'hostile input':46}{'answers':>34}{'p50 s':>8}{'longest':>9}")
    for name, row in json.loads(printed).items():
        answers = ", ".join(
            f"{status} x{count}" for status, count in sorted(row["answers"].items())
        )
        print(f"  {name:46}{answers:>34}{row['median_s']:8.2f}{row['longest_s']:9.2f}")


if __name__ == "__main__":
    main()
