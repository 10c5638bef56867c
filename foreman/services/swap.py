"""Bring a residency onto a target by requests of foreman's own, so that no client can abort it.

Unload what is in the way, see it gone, load, measure. Never beside running jobs: that the target
is at rest is for the caller to know.
"""

import json
import logging
import time
from dataclasses import dataclass

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.frames import Head
from foreman.core.queues import Residency, canonical_name
from foreman.errors import LoadFailed, TargetError

log = logging.getLogger(__name__)

LIST_LIMIT_S = 5.0
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
    loaded = loaded_models(client)
    in_the_way = loaded - keeps - ({residency.model} if may_stay else frozenset())
    for model in in_the_way:
        _unload(client, model)
    if in_the_way:
        _see_gone(client, in_the_way)
    _load(client, residency)
    cost_s = time.monotonic() - began_at
    return Swapped(cost_s, was_loaded=may_stay and residency.model in loaded)


def loaded_models(client: TargetClient) -> frozenset[str]:
    """The canonical names of what a target has loaded."""
    head, body = client.fetch(TargetRequest("GET", "/api/ps"), silence_s=LIST_LIMIT_S)
    try:
        named = (canonical_name(each["name"]) for each in json.loads(body)["models"] or [])
        return frozenset(name for name in named if name)
    except (ValueError, KeyError, TypeError) as exc:
        raise TargetError(f"target {client.name} answered /api/ps with {head.status}") from exc


def _unload(client: TargetClient, model: str) -> None:
    wish: dict[str, object] = {"model": model, "keep_alive": 0, "stream": False}
    head, _ = _ask(client, "/api/generate", wish, LIST_LIMIT_S)
    if head.status == 400:  # an embedding model
        _ask(client, "/api/embed", wish, LIST_LIMIT_S)


def _see_gone(client: TargetClient, models: frozenset[str]) -> None:
    give_up_at = time.monotonic() + UNLOAD_LIMIT_S
    while models & loaded_models(client):
        if time.monotonic() > give_up_at:
            # Somebody else uses it. Ollama's own scheduler has to settle it.
            log.warning("models did not unload", extra={"models": sorted(models)})
            return
        time.sleep(LOOK_EVERY_S)


def _load(client: TargetClient, residency: Residency) -> None:
    options: dict[str, object] = json.loads(residency.options) if residency.options else {}
    wish: dict[str, object] = {"model": residency.model, "stream": False}
    if "shift" in options:
        wish["shift"] = options.pop("shift")
    if options:
        wish["options"] = options
    head, body = _ask(client, "/api/generate", wish, None)
    if head.status == 400:
        head, body = _ask(client, "/api/embed", wish, None)
    if head.status != 200:
        raise LoadFailed(f"{residency.model} was not loaded: {_words(body)}")


def _ask(
    client: TargetClient, path: str, wish: dict[str, object], silence_s: float | None
) -> tuple[Head, bytes]:
    body = json.dumps(wish).encode()
    request = TargetRequest("POST", path, headers=[("Content-Type", "application/json")], body=body)
    return client.fetch(request, silence_s=silence_s)


def _words(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", errors="replace").strip()[:500] or "the target gave no reason"
