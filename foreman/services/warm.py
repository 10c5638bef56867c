"""Keep models loaded beside the resident one: embedding models in use, and pinned ones.

What to do is decided by `core.warm`; here a target is looked at, asked, and remembered.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from foreman.adapters import memory
from foreman.core.warm import (
    RENEW_BELOW_S,
    Clash,
    Loaded,
    Look,
    Past,
    Serving,
    Step,
    find_clashes,
    is_refuted,
    next_step,
)
from foreman.errors import DatabaseUnavailable, TargetError
from foreman.runtime import WorkerRuntime
from foreman.store import kept

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
# A load that failed is tried again after this.
FAILED_PAUSE_S = 60.0
# So is one that was answered well and is not listed: gone again, or loaded by another name.
UNLISTED_PAUSE_S = 10.0
GIB = 1024**3


@dataclass
class _Known:
    """What is remembered of one target from turn to turn."""

    used: frozenset[str] = frozenset()
    before: Look | None = None
    settled: set[str] = field(default_factory=set)
    paused_until: dict[str, float] = field(default_factory=dict)
    clashed_at_s: dict[tuple[str, str], float] = field(default_factory=dict)
    said: set[tuple[str, str]] = field(default_factory=set)


class Warmth:
    """The kept models of the target that this worker drives; `turn` is called by one thread."""

    def __init__(
        self,
        runtime: WorkerRuntime,
        *,
        serving: Callable[[], Serving],
        may_load: Callable[[], bool],
    ) -> None:
        """`may_load` says whether the drain allows a load now: not while it loads or swaps."""
        self._runtime = runtime
        self._serving = serving
        self._may_load = may_load
        self._target: str | None = None
        self._known = _Known()

    @property
    def kept(self) -> frozenset[str]:
        """The models (canonical names) that nobody may unload."""
        return self._known.used.union(self._runtime.settings.pinned)

    def turn(self, target: str | None) -> None:
        """Look at the leased target and ask it for what is missing; None: there is none."""
        if target != self._target:
            self._target, self._known = target, _Known()
        if target is None:
            return
        self._read_uses(target)
        try:
            self._tend(target)
        except TargetError as error:
            # It may come back with nothing loaded: what is seen then proves nothing.
            self._known.before = None
            log.debug("target not looked at", extra={"target": target, "error": str(error)})

    def _read_uses(self, target: str) -> None:
        try:
            with self._runtime.database.statement() as connection:
                used = kept.recently_used(
                    connection, within_s=self._runtime.settings.keep_embeddings_s
                )
        except DatabaseUnavailable as error:
            log.debug("kept models not read", extra={"error": str(error)})
        else:
            self._known.used = frozenset(model for where, model in used if where == target)

    def _tend(self, target: str) -> None:
        wanted = sorted(self.kept & self._runtime.catalog.models_of(target))
        if not wanted:
            self._known.before = None
            return
        look = self._look(target)
        while self._may_load() and (step := next_step(wanted, look, self._past(look))):
            wanted.remove(step.model)  # once a turn
            self._carry_out(target, step)
            look = self._look(target)
            if step.model not in look.loaded:
                self._pause(step.model, UNLISTED_PAUSE_S)

    def _pause(self, model: str, pause_s: float) -> None:
        known, until_s = self._known.paused_until, time.monotonic() + pause_s
        known[model] = max(until_s, known.get(model, until_s))

    def _past(self, look: Look) -> Past:
        known = self._known
        paused = [model for model, until_s in known.paused_until.items() if until_s > look.at_s]
        return Past(settled=known.settled, paused=paused, clashed_at_s=known.clashed_at_s)

    def _look(self, target: str) -> Look:
        known, loaded = self._known, memory.loaded_models(self._runtime.targets[target])
        look = Look(time.monotonic(), loaded, self._serving())
        if known.before is not None:
            for clash in find_clashes(known.before, look, self.kept):
                self._note_clash(target, clash, look.at_s)
        known.before = look
        known.settled &= loaded.keys()
        for pair in [pair for pair in known.clashed_at_s if is_refuted(pair, look)]:
            del known.clashed_at_s[pair]
        return look

    def _carry_out(self, target: str, step: Step) -> None:
        status, error = self._ask(target, step.model)
        facts = {"target": target, "model": step.model}
        if status == 200:
            self._known.settled.add(step.model)
            log.info("model kept loaded", extra=facts | {"was_gone": step.is_load})
        else:
            self._pause(step.model, FAILED_PAUSE_S)
            log.warning("model not kept", extra=facts | {"status": status, "error": error})

    def _ask(self, target: str, model: str) -> tuple[int, str]:
        client, wish = self._runtime.targets[target], {"keep_alive": self._keep_alive(model)}
        first = memory.EMBED if model in self._known.used else memory.GENERATE
        try:
            return memory.ask(client, model, wish, first=first)
        except TargetError as failure:
            return failure.status, str(failure)

    def _keep_alive(self, model: str) -> str | int:
        if model in self._runtime.settings.pinned:
            return memory.FOREVER
        # Each use begins it anew, so that it needs no renewal: it ends when the model is let go.
        return f"{math.ceil(self._runtime.settings.keep_embeddings_s + RENEW_BELOW_S)}s"

    def _note_clash(self, target: str, clash: Clash, at_s: float) -> None:
        self._known.clashed_at_s[clash.pair] = at_s
        if clash.pair not in self._known.said:
            self._known.said.add(clash.pair)
            log.error("models do not fit together", extra={"error": _sentence(target, clash)})
        try:
            with self._runtime.database.statement() as connection:
                kept.count_eviction(connection, target, clash.kept.model)
        except DatabaseUnavailable as error:
            log.warning("eviction not counted", extra={"error": str(error)})


def _sentence(target: str, clash: Clash) -> str:
    return (
        f"the memory of target {target} does not hold {_sized(clash.kept)} beside"
        f" {_sized(clash.other)}: each load of one drives the other out"
    )


def _sized(loaded: Loaded) -> str:
    return f"{loaded.model} ({loaded.size_bytes / GIB:.1f} GiB)"
