"""What a target has in its memory, and requests that only load a model or keep it loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.lists import entries_in
from foreman.core.queues import canonical_name
from foreman.core.steps import finished
from foreman.core.target_words import error_words
from foreman.errors import TargetError
from foreman.turns import give_turn

LOOK_LIMIT_S = 5.0
# Empty input: load, and say for how long.
EMBED, GENERATE = "/api/embed", "/api/generate"
FOREVER = -1
# What reading an answer raises that is no list of loaded models, whatever it is instead.
_NOT_A_LIST = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in a target's memory, as `/api/ps` shows it."""

    model: str  # canonical name
    size_bytes: int
    expires_in_s: float


def loaded_models(client: TargetClient) -> dict[str, Loaded]:
    """The models in a target's memory by canonical name; TargetError when it does not say."""
    head, body = client.fetch(TargetRequest("GET", "/api/ps"), silence_s=LOOK_LIMIT_S)
    now = _time_there(head)
    try:
        entries = [_loaded(entry, now) for entry in finished(entries_in(body), give_turn)]
    except _NOT_A_LIST as exc:
        raise TargetError(f"target {client.name} does not say what it has loaded") from exc
    return {entry.model: entry for entry in entries}


def ask(
    client: TargetClient,
    model: str,
    wish: Mapping[str, object],
    *,
    first: str = GENERATE,
    silence_s: float | None = None,
) -> tuple[int, str]:
    """Ask for no work: load the model, prolong it, or (`keep_alive` 0) let it go.

    Returns the answer's status and, unless it is 200, the target's words. A model of the other
    kind than the route `first` is for is asked for by the other route.
    """
    status, words = _post(client, first, {"model": model, "stream": False, **wish}, silence_s)
    if status == 400:
        other = EMBED if first == GENERATE else GENERATE
        status, words = _post(client, other, {"model": model, **wish}, silence_s)
    return status, words


def _post(
    client: TargetClient, route: str, wish: Mapping[str, object], silence_s: float | None
) -> tuple[int, str]:
    headers = [("Content-Type", "application/json")]
    body = json.dumps(wish).encode()
    head, answer = client.fetch(
        TargetRequest("POST", route, "", headers, body), silence_s=silence_s
    )
    return head.status, "" if head.status == 200 else error_words(answer)


def _loaded(entry: Mapping[str, Any], now: datetime) -> Loaded:
    model = canonical_name(entry["name"]) or entry["name"]
    expires_at = datetime.fromisoformat(entry["expires_at"])
    # What runs partly without video memory is larger than what it takes of it.
    size_bytes = int(entry.get("size_vram") or 0) or int(entry["size"])
    return Loaded(model, size_bytes, (expires_at - now).total_seconds())


def _time_there(head: Head) -> datetime:
    """The target's own time, to the second: its clock may differ from ours."""
    try:
        return parsedate_to_datetime(header_rules.find(head.headers, "date") or "")
    except ValueError:
        return datetime.now(UTC)
