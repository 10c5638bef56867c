"""Which models stay loaded beside the resident one: what a target has in memory in, steps out.

Which models are wanted, and how a step is carried out, is `services.warm`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

# A load is renewed when no more than this is left of it: many looks and a slow answer.
RENEW_BELOW_S = 60.0
# Two models that did not fit beside each other are tried again after this.
CLASH_LASTS_S = 600.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in a target's memory, as `/api/ps` shows it."""

    model: str  # canonical name
    size_bytes: int
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Serving:
    """What the drain does with the target: the model of its visit, and whether its jobs run."""

    resident: str | None
    is_running: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A target at one moment; `at_s` is any clock that never goes back."""

    at_s: float
    loaded: Mapping[str, Loaded]  # by canonical name
    serving: Serving


@dataclass(frozen=True, slots=True)
class Clash:
    """Memory did not hold both: the load of one of them drove the other out."""

    kept: Loaded
    other: Loaded

    @property
    def pair(self) -> tuple[str, str]:
        return self.kept.model, self.other.model


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask of the target next; `is_load`: the model is not there."""

    model: str
    is_load: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a worker remembers between two looks."""

    settled: Collection[str] = ()  # loaded with foreman's own keep_alive, and there ever since
    paused: Collection[str] = ()  # asked for a moment ago, in vain
    clashed_at_s: Mapping[tuple[str, str], float] | None = None  # by `Clash.pair`


def next_step(wanted: Collection[str], look: Look, past: Past) -> Step | None:
    """The next thing to do so that `wanted` models are loaded; None: nothing, for now."""
    resident, is_running = look.serving.resident, look.serving.is_running
    # 1. The resident is wanted by its jobs and not there: it is being loaded. Nothing beside it.
    if is_running and resident is not None and resident not in look.loaded:
        return None
    for model in wanted:
        loaded = look.loaded.get(model)
        # 2. Asked for a moment ago, in vain: not yet again.
        if model in past.paused:
            continue
        # 3. Its own jobs run: they keep it, and a request of ours might load it anew.
        if is_running and model == resident:
            continue
        # 4. There: for as long as somebody else said, or not for much longer: say how long.
        if loaded is not None:
            if model not in past.settled or loaded.expires_in_s < RENEW_BELOW_S:
                return Step(model, is_load=False)
            continue
        # 5. Gone, and it does not fit beside what is there: not in this visit.
        if _is_held_back(model, look, past):
            continue
        # 6. Gone: put it back.
        return Step(model, is_load=True)
    return None


def _is_held_back(model: str, look: Look, past: Past) -> bool:
    for (kept, other), at_s in (past.clashed_at_s or {}).items():
        if kept == model and other in look.loaded:
            is_over = look.at_s - at_s > CLASH_LASTS_S
            # Tried again only where no running job can be hit.
            if not is_over or look.serving.is_running:
                return True
    return False


def find_clashes(before: Look, now: Look, wanted: Collection[str]) -> list[Clash]:
    """Which wanted models and others drove each other out between two looks."""
    passed_s = now.at_s - before.at_s
    came = now.loaded.keys() - before.loaded.keys()
    # 1. What was there and is not: if its time was over, nobody drove it out.
    gone = {
        model
        for model in before.loaded.keys() - now.loaded.keys()
        if before.loaded[model].expires_in_s > passed_s
    }
    # 2. A wanted model went when another came. Where a third is left that nobody wants, that one
    #    could have gone instead: then it proves nothing.
    has_third = bool(now.loaded.keys() - came - set(wanted))
    newcomers = [now.loaded[model] for model in came]
    clashes = [
        Clash(before.loaded[model], max(newcomers, key=lambda each: each.size_bytes))
        for model in sorted(gone.intersection(wanted))
        if newcomers and not has_third
    ]
    # 3. A wanted model came and the resident went, in the middle of its visit.
    resident = now.serving.resident
    if resident in gone.difference(wanted) and before.serving.resident == resident:
        assert resident is not None
        clashes += [
            Clash(now.loaded[model], before.loaded[resident])
            for model in sorted(came.intersection(wanted))
        ]
    return clashes


def is_refuted(pair: tuple[str, str], look: Look) -> bool:
    """Whether two models that did not fit beside each other now do."""
    return all(model in look.loaded for model in pair)
