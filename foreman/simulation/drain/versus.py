"""Ours compared with Ollama's own order on the same draws: loads and mean waits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from foreman.core.arrivals import Arrival
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.agents import LONGEST, Agents, Crowd
from foreman.simulation.drain.arrivals import Load, bursts, poisson
from foreman.simulation.drain.compare import Ground, Outcome, run
from foreman.simulation.drain.fleet import Memory

# Ours may wait this many times as long as Ollama; loads may not be more at all.
WAIT_LIMIT = 1.05
PLACES = 1, 2, 3
MODELS, JOBS, SERVICE_S, SWAP_S = 4, 400, 2.0, 5.0
CLIENTS, THINK_S = 6, 2.0
# Waits are compared from here on: a hundredth of a second more than none is no slowdown.
FLOOR_S = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """One draw on one target."""

    pattern: str
    places: int
    seed: int
    ours: Outcome
    ollama: Outcome

    @property
    def loads_ratio(self) -> float:
        return self.ours.loads / max(self.ollama.loads, 1)

    @property
    def wait_ratio(self) -> float:
        return (self.ours.mean_wait_s + FLOOR_S) / (self.ollama.mean_wait_s + FLOOR_S)

    @property
    def is_missed(self) -> bool:
        return self.loads_ratio > 1 or self.wait_ratio > WAIT_LIMIT


def cases(draws: int, rules: VisitRules, *, is_room_known: bool) -> Iterator[Case]:
    """Every pattern and number of places, `draws` times each."""
    for pattern, make in PATTERNS.items():
        for places in PLACES:
            for seed in range(1, draws + 1):
                on = replace(make(seed, rules), memory=Memory(places), is_room_known=is_room_known)
                ours, ollama = run("ours", on)[0], run("ollama", on)[0]
                yield Case(pattern, places, seed, ours, ollama)


def _open(
    make: Callable[[Load], Iterator[Arrival]], rho: float, seed: int, rules: VisitRules
) -> Ground:
    load = Load(jobs=JOBS, models=MODELS, rho=rho, service_s=SERVICE_S, seed=seed)
    return _ground(list(make(replace(load, burst_jobs=120))), load.queues, rules)


def _closed(seed: int, rules: VisitRules) -> Ground:
    queues = Load(models=MODELS).queues
    crowd = Crowd(
        queues=tuple(queues),
        clients=CLIENTS,
        think_s=THINK_S,
        service_s=SERVICE_S,
        jobs=JOBS // CLIENTS,
        seed=seed,
    )
    return replace(_ground((), queues, rules), clients=partial(Agents, crowd))


def _ground(arrivals: Sequence[Arrival], queues: Sequence[str], rules: VisitRules) -> Ground:
    rules = replace(rules, job_limit_s=LONGEST * SERVICE_S)
    return Ground(arrivals, rules, dict.fromkeys(queues, SWAP_S))


PATTERNS: dict[str, Callable[[int, VisitRules], Ground]] = {
    "burst": partial(_open, bursts, 0.5),
    "poisson 0.3": partial(_open, poisson, 0.3),
    "poisson 0.7": partial(_open, poisson, 0.7),
    "poisson 0.95": partial(_open, poisson, 0.95),
    "agents": _closed,
}


def as_text(found: Sequence[Case]) -> str:
    """A row for each pattern and number of places, with its closest draws; then each miss."""
    rows: list[tuple[str, ...]] = [
        ("pattern", "places", "draws", "loads", "wait", "most loads", "longest wait", "missed")
    ]
    for pattern in PATTERNS:
        for places in PLACES:
            group = [each for each in found if (each.pattern, each.places) == (pattern, places)]
            if group:
                rows.append(_row(pattern, places, group))
    lines = ["  ".join(cell.rjust(14) for cell in row) for row in rows]
    return "\n".join([*lines, *(_miss(each) for each in found if each.is_missed)])


def _miss(case: Case) -> str:
    ours, ollama = case.ours, case.ollama
    return (
        f"missed: {case.pattern}, {case.places} place(s), draw {case.seed}: loads {ours.loads} to "
        f"{ollama.loads}, mean wait {ours.mean_wait_s:.2f} s to {ollama.mean_wait_s:.2f} s"
    )


def _row(pattern: str, places: int, group: Sequence[Case]) -> tuple[str, ...]:
    loads = sum(each.ours.loads for each in group) / sum(each.ollama.loads for each in group)
    waits = sum(each.ours.mean_wait_s for each in group) / sum(
        each.ollama.mean_wait_s for each in group
    )
    most = max(group, key=lambda each: each.loads_ratio)
    longest = max(group, key=lambda each: each.wait_ratio)
    missed = sum(each.is_missed for each in group)
    return (
        pattern,
        f"{places}",
        f"{len(group)}",
        f"{loads:.3f}",
        f"{waits:.3f}",
        f"{most.loads_ratio:.3f} #{most.seed}",
        f"{longest.wait_ratio:.3f} #{longest.seed}",
        f"{missed}",
    )
