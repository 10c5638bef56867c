"""(b) NDJSON lines a second: targets that talk as fast as they can, one stream and eight."""

from collections import defaultdict

from tests.bench.figures import Aim, Section, median
from tests.bench.ground import ALL_WAYS, PROXY, RABBITMQ, REDIS, Ground
from tests.bench.latency import cpu_text, warm_up
from tests.bench.measure import Run, load_on, measure

SLOTS = 8
AIMS = {REDIS: 0.75, RABBITMQ: 0.5}
CLIENTS = (1, 8)

Runs = dict[tuple[int, str], list[Run]]


def lines_per_second(ground: Ground, *, repeat: int, is_quick: bool) -> Section:
    """Measure all ways in turns; a ratio is of two neighbours in time."""
    tokens = 4000 if is_quick else 20_000
    runs: Runs = defaultdict(list)
    with ground.scene(slots=SLOTS, tokens=tokens, tokens_per_s=0) as scene:
        warm_up(scene)
        for _ in range(repeat):
            for clients in CLIENTS:
                for way in scene.ways.values():
                    load = load_on(way, clients=clients, streams_each=2 if clients == 1 else 1)
                    runs[clients, way.name].append(measure(scene, way, load))
    return _section(runs, tokens)


def _section(runs: Runs, tokens: int) -> Section:
    rates = {key: [_rate(run) for run in each] for key, each in runs.items()}
    rows, aims = [], []
    for clients in CLIENTS:
        for way in ALL_WAYS:
            own, proxy = rates[clients, way], rates[clients, PROXY]
            ratio = median([a / b for a, b in zip(own, proxy, strict=True)])
            each = runs[clients, way]
            others = f"{median([run.others for run in each]):.0%}"
            rows.append(
                (str(clients), way, f"{median(own):,.0f}", f"{ratio:.2f}", cpu_text(each), others)
            )
            if way in AIMS:
                text = f"{way}, {clients} streams: ≥ {AIMS[way]} times the proxy"
                aims.append(Aim(text, f"{ratio:.2f} x", ratio >= AIMS[way]))
    return Section(
        "(b) NDJSON lines a second",
        f"Unpaced streams of {tokens:,} lines; medians of the rounds, ratios within a round.",
        ("streams at once", "way", "lines/s", "x proxy", "CPU ms/stream", "others on the machine"),
        rows,
        aims,
        {f"{clients} streams, {way}": values for (clients, way), values in rates.items()},
    )


def _rate(run: Run) -> float:
    return sum(sample.lines for sample in run.samples) / run.seconds
