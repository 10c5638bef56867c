"""Carries out `LoadModel`: by requests of foreman's own, so that no client can abort a load.

Unload the victims, see them gone, load, and look again: what is listed before and after tells what
fits. That the victims are at rest is for the caller to know. What the target unloads by itself, to
make room, it chooses itself: asking it to prefer one would load that one again where it runs with
options that the request does not name.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping

from foreman.adapters import memory
from foreman.adapters.target import TargetClient
from foreman.core.attempts import is_refusal
from foreman.core.queues import Residency
from foreman.errors import (
    Defect,
    ForemanError,
    LoadFailed,
    LoadRefused,
    TargetError,
    TargetUnreachable,
)
from foreman.runtime import WorkerRuntime
from foreman.worker.effects import LoadModel
from foreman.worker.events import Loaded, LoadEnded
from foreman.worker.target_requests import keep_alive_of

log = logging.getLogger(__name__)

# Ollama answers an unload at once and ends the runner after it; a GPU's memory takes a moment.
UNLOAD_LIMIT_S = 30.0
LOOK_EVERY_S = 0.02
# A target tells its own time to the second: what it lists may go so much earlier than it seems.
CLOCK_S = 1.0

Listing = Mapping[str, memory.Loaded]


class Loader:
    """Called by one thread: a target loads one model at a time."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._targets = runtime.targets

    def load(self, effect: LoadModel) -> Loaded | LoadEnded:
        """Load a residency. It always reports: its runs wait for it."""
        try:
            return self._load(effect)
        except ForemanError as error:
            return LoadEnded(effect.lease, effect.queue, error)
        except Exception:  # a defect, which costs each run that waits an attempt and no more
            log.exception("load failed by a defect")
            return LoadEnded(effect.lease, effect.queue, LoadFailed(str(Defect())))

    def _load(self, effect: LoadModel) -> Loaded:
        client, model = self._targets[effect.lease.target], effect.residency.model
        began_at = time.monotonic()
        going = [each for each in effect.victims if _unload(client, each)]
        there = _see_gone(client, going) if going else _listed(client)
        looked_at = time.monotonic()
        _request_load(client, effect.residency, effect.keep_alive_s)
        ended_at = time.monotonic()
        after = _listed(client)
        # One that may have to go is there with other options: Ollama itself loads it again.
        is_its_own = model not in effect.victims and model not in effect.may_go
        was_loaded = is_its_own and there is not None and model in there
        leaving = set(effect.victims) | (set() if was_loaded else {model})
        before = _stayed(there, leaving, after, ended_at - looked_at)
        return Loaded(
            lease=effect.lease,
            queue=effect.queue,
            cost_s=ended_at - began_at,
            was_loaded=was_loaded,
            before=before,
            after=None if after is None else _sizes(after.values()),
        )


def _stayed(
    there: Listing | None, leaving: set[str], after: Listing | None, took_s: float
) -> Mapping[str, int] | None:
    """What would have stayed by itself: not what was leaving, and not what ran out meanwhile."""
    if there is None:
        return None
    return _sizes(
        each
        for each in there.values()
        if each.model not in leaving
        and (each.expires_in_s > took_s + CLOCK_S or (after is not None and each.model in after))
    )


def _sizes(models: Iterable[memory.Loaded]) -> dict[str, int]:
    return {each.model: each.size_bytes for each in models}


def _listed(client: TargetClient) -> Listing | None:
    """What is loaded; None: the target does not say."""
    try:
        return memory.loaded_models(client)
    except TargetUnreachable:
        raise
    except TargetError as error:
        # Ollama's own scheduler makes room, then.
        log.warning("load does not see what is loaded", extra={"error": str(error)})
        return None


def _unload(client: TargetClient, model: str) -> bool:
    """Ask it to go; False when the target will not: a model that was deleted, say."""
    try:
        status, words = memory.ask(client, model, {"keep_alive": 0}, silence_s=memory.LOOK_LIMIT_S)
    except TargetUnreachable:
        raise
    except TargetError as error:
        status, words = error.status, str(error)
    if status != 200:
        log.warning("model not unloaded", extra={"model": model, "error": words})
    return status == 200


def _see_gone(client: TargetClient, models: Iterable[str]) -> Listing | None:
    """Wait until these are unloaded, for as long as that may take; what is loaded then."""
    going, give_up_at = frozenset(models), time.monotonic() + UNLOAD_LIMIT_S
    while (there := _listed(client)) is not None and not going.isdisjoint(there):
        if time.monotonic() > give_up_at:
            # Somebody else uses it. Ollama's own scheduler has to settle it.
            log.warning("models did not unload", extra={"models": sorted(going)})
            break
        time.sleep(LOOK_EVERY_S)
    return there


def _request_load(client: TargetClient, residency: Residency, keep_alive_s: float | None) -> None:
    """Load it. Raises LoadFailed with the target's own words, or the TargetError of no answer."""
    options: dict[str, object] = json.loads(residency.options) if residency.options else {}
    # It stands beside the options in a request.
    wish: dict[str, object] = {key: options.pop(key) for key in ("shift",) if key in options}
    if options:
        wish["options"] = options
    if keep_alive_s is not None:
        wish["keep_alive"] = keep_alive_of(keep_alive_s)
    status, words = memory.ask(client, residency.model, wish)
    if status != 200:
        failed = LoadRefused if is_refusal(status) else LoadFailed
        raise failed(f"{residency.model} was not loaded: {words}")
