"""(c) Two hundred paced streams at once: is any of them late, and what does one cost in memory."""

from collections import defaultdict

from tests.bench.figures import Aim, Section, median, percentile
from tests.bench.ground import ALL_WAYS, DIRECT, PROXY, Ground
from tests.bench.latency import cpu_text, warm_up
from tests.bench.measure import Run, load_on, measure

STREAMS = 200
TOKENS_PER_S = 10.0
SLOWEST_AIM = 1.1
MEMORY_AIM_KIB = 100.0
# All run at once for the second half of the first one's time.
SPREAD = 0.5

Runs = dict[str, list[Run]]


def paced_crowd(ground: Ground, *, repeat: int, is_quick: bool) -> Section:
    """Measure all ways in turns."""
    tokens = 40 if is_quick else 100
    paced_s = tokens / TOKENS_PER_S
    runs: Runs = defaultdict(list)
    with ground.scene(slots=STREAMS, tokens=tokens, tokens_per_s=TOKENS_PER_S) as scene:
        warm_up(scene)
        for _ in range(repeat):
            for way in scene.ways.values():
                load = load_on(way, clients=STREAMS, streams_each=1, spread_s=paced_s * SPREAD)
                runs[way.name].append(measure(scene, way, load))
    return _section(runs, tokens, paced_s)


def _section(runs: Runs, tokens: int, paced_s: float) -> Section:
    rows, aims = [], []
    slower = {
        way: [sample.total_s / paced_s for run in each for sample in run.samples]
        for way, each in runs.items()
    }
    for way in ALL_WAYS:
        own, each = slower[way], runs[way]
        kib = max(_web_kib(run) for run in each)
        figures = [f"{percentile(own, percent):.3f}" for percent in (50, 99, 100)]
        memory = "" if way == DIRECT else f"{kib:.0f}"
        others = f"{median([run.others for run in each]):.0%}"
        rows.append((way, *figures, memory, cpu_text(each), others))
        if way not in (DIRECT, PROXY):
            slow = f"{way}: no stream slower than {SLOWEST_AIM} times its paced time"
            aims.append(Aim(slow, f"{max(own):.3f} x", max(own) <= SLOWEST_AIM))
            text = f"{way}: ≤ {MEMORY_AIM_KIB:g} KiB of web memory a stream"
            aims.append(Aim(text, f"{kib:.0f} KiB", kib <= MEMORY_AIM_KIB))
    return Section(
        f"(c) {STREAMS} paced streams at once",
        f"{tokens} tokens at {TOKENS_PER_S:g} tokens/s: {paced_s:g} s. They begin within"
        f" {paced_s * SPREAD:g} s. Time of a whole stream ÷ paced time; memory is USS, most during"
        " the run minus before, in KiB a stream.",
        (
            "way",
            "p50",
            "p99",
            "slowest",
            "web KiB/stream",
            "CPU ms/stream",
            "others on the machine",
        ),
        rows,
        aims,
        {way: values for way, values in slower.items()},
    )


def _web_kib(run: Run) -> float:
    grown = [run.memory_bytes.get(name, 0) for name in ("web", "proxy")]
    return max(grown) / 1024 / STREAMS
