"""(a) Added time to first token: short streams, one at a time and sixteen at once.

"Added" is the percentile over a way minus the same percentile straight to the target.
"""

from collections import defaultdict
from dataclasses import dataclass

from tests.bench.figures import Aim, Section, median, percentile
from tests.bench.ground import ALL_WAYS, DIRECT, PROXY, Ground, Scene
from tests.bench.measure import Run, load_on, measure

SLOTS = 16
TOKENS = 20
TOKENS_PER_S = 40.0
STREAM_S = TOKENS / TOKENS_PER_S
P50_AIM_MS, P99_AIM_MS = 8.0, 25.0


@dataclass(frozen=True)
class Crowd:
    """So many clients, each with a new stream soon after its last."""

    clients: int
    spread_s: float
    pause_s: float


ONE, STEADY = Crowd(1, 0, 0.2), Crowd(16, STREAM_S, 0.1)
AT_ONCE = Crowd(16, 0, 0)  # sixteen arrive together, again and again
CROWDS = {"1 client": ONE, "16 clients": STEADY, "16 at the same moment": AT_ONCE}
AIMED = "16 clients"

Runs = dict[tuple[str, str], list[Run]]


def added_latency(ground: Ground, *, repeat: int, is_quick: bool) -> Section:
    """Measure all ways in turns."""
    runs: Runs = defaultdict(list)
    with ground.scene(slots=SLOTS, tokens=TOKENS, tokens_per_s=TOKENS_PER_S) as scene:
        warm_up(scene, streams_each=4)
        for _ in range(repeat):
            for crowd_name, crowd in CROWDS.items():
                for way in scene.ways.values():
                    load = load_on(
                        way,
                        clients=crowd.clients,
                        streams_each=5 if is_quick else 12,
                        spread_s=crowd.spread_s,
                        pause_s=crowd.pause_s,
                    )
                    runs[crowd_name, way.name].append(measure(scene, way, load))
    return _section(runs)


def warm_up(scene: Scene, streams_each: int = 1) -> None:
    """First requests connect, load and compile."""
    for way in scene.ways.values():
        measure(scene, way, load_on(way, clients=8, streams_each=streams_each))


def _section(runs: Runs) -> Section:
    times = {key: [ms for run in each for ms in run.first_ms()] for key, each in runs.items()}
    rows, aims = [], []
    for crowd in CROWDS:
        base50, base99 = (percentile(times[crowd, DIRECT], each) for each in (50, 99))
        for way in ALL_WAYS:
            own = times[crowd, way]
            p50, p99 = percentile(own, 50), percentile(own, 99)
            rows.append(_row(crowd, way, runs[crowd, way], (p50, p99, base50, base99)))
            if crowd == AIMED and way not in (DIRECT, PROXY):
                aims += _aims(way, p50 - base50, p99 - base99)
    return Section(
        "(a) Added time to first token",
        f"Streams of {TOKENS} tokens at {TOKENS_PER_S:g} tokens/s, {SLOTS} slots, the model loaded;"
        " times in ms from the request's first byte to the body's.",
        (
            "load",
            "way",
            "streams/s",
            "p50",
            "p99",
            "added p50",
            "added p99",
            "CPU ms/stream",
            "machine busy (others)",
        ),
        rows,
        aims,
        {f"{crowd}, {way}": values for (crowd, way), values in times.items()},
    )


def _row(
    crowd: str, way: str, runs: list[Run], figures: tuple[float, float, float, float]
) -> tuple[str, ...]:
    p50, p99, base50, base99 = figures
    added = ("", "") if way == DIRECT else (f"{p50 - base50:.1f}", f"{p99 - base99:.1f}")
    rate = sum(len(run.samples) for run in runs) / sum(run.seconds for run in runs)
    busy = f"{median([run.busy for run in runs]):.0%} ({median([run.others for run in runs]):.0%})"
    return (crowd, way, f"{rate:.1f}", f"{p50:.1f}", f"{p99:.1f}", *added, cpu_text(runs), busy)


def cpu_text(runs: list[Run]) -> str:
    """CPU time a stream, by process."""
    count = sum(len(run.samples) for run in runs)
    names = [name for name in runs[0].cpu_s if name not in ("load", "target")]
    each = (f"{name} {sum(run.cpu_s[name] for run in runs) * 1000 / count:.1f}" for name in names)
    return ", ".join(each)


def _aims(way: str, p50: float, p99: float) -> list[Aim]:
    return [
        Aim(f"{way}: added p50 ≤ {P50_AIM_MS:g} ms", f"{p50:.1f} ms", p50 <= P50_AIM_MS),
        Aim(f"{way}: added p99 ≤ {P99_AIM_MS:g} ms", f"{p99:.1f} ms", p99 <= P99_AIM_MS),
    ]
