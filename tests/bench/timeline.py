"""Where the time of one request goes: `python -m tests.bench.timeline [--clients N] [--way redis]`.

Runs a foreman with stopwatches inside (`traced`) and prints, point by point, when a request of the
median gets there. Points of two processes that work at the same time may overtake each other.
"""

import argparse
import os
import tempfile
from pathlib import Path

from tests.bench.figures import median, percentile
from tests.bench.ground import DIRECT, RABBITMQ, REDIS, Ground, Scene
from tests.bench.latency import STREAM_S, TOKENS, TOKENS_PER_S, cpu_text, warm_up
from tests.bench.load import Sample
from tests.bench.measure import Run, load_on, measure
from tests.bench.traced import marks
from tests.stack import Process, Stack

# Point and process: the client's clock stands at 0 when it sends.
POINTS = (
    ("web", "request parsed"),
    ("web", "submit begins"),
    ("web", "insert begins"),
    ("web", "insert ends"),
    ("web", "submit ends"),
    ("web", "follow begins"),
    ("web", "publish begins"),
    ("web", "published"),
    ("worker", "pulled"),
    ("worker", "decided"),
    ("worker", "handed to Celery"),
    ("worker", "task begins"),
    ("worker", "claim begins"),
    ("worker", "claimed"),
    ("worker", "target asked"),
    ("worker", "target's head"),
    ("worker", "first chunk"),
    ("worker", "frames' publish begins"),
    ("worker", "frames published"),
    ("web", "frame in mailbox"),
    ("web", "answer begins"),
    ("client", "first byte"),
)
TRACED = {
    "python:foreman.serving": "python:tests.bench.traced.serving",
    "celery_app": "tests.bench.traced.working",
}


class TracedStack(Stack):
    """A foreman with stopwatches in its web and worker processes."""

    def start(self, name: str, *arguments: str) -> Process:
        return super().start(name, *(TRACED.get(each, each) for each in arguments))


def _measured(ground: Ground, way: str, clients: int, streams_each: int) -> tuple[Run, Run]:
    """A run straight to the target, and one over foreman."""
    with ground.scene((DIRECT, way), slots=16, tokens=TOKENS, tokens_per_s=TOKENS_PER_S) as scene:
        warm_up(scene, streams_each=3)
        direct, over = (_run(scene, each, clients, streams_each) for each in (DIRECT, way))
        return direct, over


def _run(scene: Scene, way: str, clients: int, streams_each: int) -> Run:
    load = load_on(
        scene.ways[way],
        clients=clients,
        streams_each=streams_each,
        spread_s=STREAM_S,
        pause_s=0.2,
    )
    return measure(scene, scene.ways[way], load)


def _tell(way: str, direct: Run, over: Run, jobs: dict[str, dict[str, float]]) -> None:
    base = median(direct.first_ms())
    print(
        f"\n{way}: others had {over.others:.0%} of the machine; CPU ms a stream: {cpu_text([over])}"
    )
    print(f"straight to the target the first byte comes after {base:.2f} ms (median)")
    print(f"{'':8}{'point':26}{'p10':>8}{'p50':>8}{'step':>8}{'p90':>8}")
    last = 0.0
    for process, point in POINTS:
        times = [
            _passed_ms(sample, jobs[sample.job_id], point)
            for sample in over.samples
            if sample.number
        ]
        p10, p50, p90 = (percentile(times, each) for each in (10, 50, 90))
        print(f"{process:8}{point:26}{p10:8.2f}{p50:8.2f}{p50 - last:+8.2f}{p90:8.2f}")
        last = p50


def _passed_ms(sample: Sample, points: dict[str, float], point: str) -> float:
    if point == "first byte":
        return sample.first_s * 1000
    return (points[point] - sample.sent_at) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.timeline", description=__doc__)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--streams", type=int, default=25, help="of each client")
    parser.add_argument("--way", choices=("redis", "rabbitmq", "both"), default="both")
    args = parser.parse_args()
    ways = {"redis": (REDIS,), "rabbitmq": (RABBITMQ,), "both": (REDIS, RABBITMQ)}[args.way]
    with Ground(TracedStack) as ground:
        for way in ways:
            with tempfile.TemporaryDirectory(prefix="foreman-marks-") as folder:
                os.environ[marks.FOLDER] = folder
                direct, over = _measured(ground, way, args.clients, args.streams)
                _tell(way, direct, over, marks.read(Path(folder)))


if __name__ == "__main__":
    main()
