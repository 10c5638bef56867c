"""Bring a residency onto a target by requests of foreman's own, so that no client can abort it.

Unload what is in the way, see it gone, load, measure. Never beside running jobs: that the target
is at rest is for the caller to know.
"""

import json
import logging
import time
from dataclasses import dataclass

from foreman.adapters import memory
from foreman.adapters.target import TargetClient
from foreman.core.attempts import is_refusal
from foreman.core.queues import Residency
from foreman.errors import LoadFailed, LoadRefused, TargetError, TargetUnreachable

log = logging.getLogger(__name__)

# Ollama answers an unload at once and ends the runner after it; a GPU's memory takes a moment.
UNLOAD_LIMIT_S = 30.0
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Swapped:
    """What it took, in seconds; `was_loaded`: nothing had to be loaded."""

    cost_s: float
    was_loaded: bool


def bring(
    client: TargetClient, residency: Residency, *, may_stay: bool, keeps: frozenset[str]
) -> Swapped:
    """Load `residency` and return what it cost.

    `may_stay`: if its model is loaded, then not with options that are known to be others; Ollama's
    own check decides. Models in `keeps` (canonical names) stay loaded. Raises LoadFailed with the
    target's own words, or the TargetError of a target that does not answer.
    """
    began_at = time.monotonic()
    loaded = _loaded_models(client)
    stays = {residency.model} if may_stay else frozenset()
    in_the_way = loaded - keeps - stays
    going = frozenset(model for model in in_the_way if _unload(client, model))
    if going:
        _see_gone(client, going)
    _load(client, residency)
    cost_s = time.monotonic() - began_at
    return Swapped(cost_s, was_loaded=may_stay and residency.model in loaded)


def _loaded_models(client: TargetClient) -> frozenset[str]:
    try:
        return frozenset(memory.loaded_models(client))
    except TargetUnreachable:
        raise
    except TargetError as error:
        # It does not say. Ollama's own scheduler makes room, then.
        log.warning("swap does not see what is loaded", extra={"error": str(error)})
        return frozenset()


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


def _see_gone(client: TargetClient, models: frozenset[str]) -> None:
    give_up_at = time.monotonic() + UNLOAD_LIMIT_S
    while models & _loaded_models(client):
        if time.monotonic() > give_up_at:
            # Somebody else uses it. Ollama's own scheduler has to settle it.
            log.warning("models did not unload", extra={"models": sorted(models)})
            return
        time.sleep(LOOK_EVERY_S)


def _load(client: TargetClient, residency: Residency) -> None:
    options: dict[str, object] = json.loads(residency.options) if residency.options else {}
    # It stands beside the options in a request.
    wish: dict[str, object] = {key: options.pop(key) for key in ("shift",) if key in options}
    if options:
        wish["options"] = options
    status, words = memory.ask(client, residency.model, wish)
    if status != 200:
        failed = LoadRefused if is_refusal(status) else LoadFailed
        raise failed(f"{residency.model} was not loaded: {words}")
