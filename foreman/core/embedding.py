"""Embeddings: whether a model is one for them, and where such a request goes.

An embedding model never waits behind generations. Any other model that is asked for an embedding is
loaded as for a chat, so its request has to wait in its queue.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from foreman.core.reading.answers import Reading, built, is_object, members_of


@dataclass(frozen=True, slots=True)
class Listed:
    """What a target's list says of one model."""

    is_remote: bool = False
    digest: str = ""
    embeds: bool | None = None  # whether it is an embedding model; None: the list does not say
    size_bytes: int = 0  # of its files; 0: the list does not say


def listed(entry: Mapping[str, object]) -> Listed:
    """One entry of `/api/tags`. Ollama lists `capabilities` since 0.30, and not for every model."""
    return Listed(
        is_remote=bool(entry.get("remote_host")),
        digest=str(entry.get("digest") or ""),
        embeds=_embeds(entry.get("capabilities")),
        size_bytes=size if isinstance(size := entry.get("size"), int) and size > 0 else 0,
    )


def embeds_by_show(answer: bytes) -> Reading[bool]:
    """Whether an answer of `/api/show` describes an embedding model; Unreadable for no object.

    Before 0.6.4 it names no capabilities. They come from the model's file: a model for embeddings
    says there how to pool its vectors.
    """
    members = yield from members_of(answer)
    capabilities, info = members.get("capabilities"), members.get("model_info")
    embeds = _embeds(built(answer, capabilities)) if capabilities else None
    if embeds is not None:
        return embeds
    named = (yield from members_of(answer, info)) if info and is_object(answer, info) else {}
    return any(name.endswith(".pooling_type") for name in named)


def _embeds(capabilities: object) -> bool | None:
    if not isinstance(capabilities, list) or not capabilities:
        return None
    return "embedding" in capabilities and "completion" not in capabilities


def pick_target(
    having: Sequence[str],
    *,
    reachable: Collection[str],
    warm: Collection[str],
    busy: Mapping[str, int],
    sick: Collection[str] = (),
) -> str | None:
    """The target for an embedding with a model that the targets `having` have; None for none.

    `warm` are those where the model is loaded or about to be; `busy` counts embeddings; `sick` are
    those that answer and do no work.
    """
    # 1. Who does not answer is asked only when nobody else has the model.
    able = [target for target in having if target in reachable] or list(having)
    # 2. Who does no work is asked only when nobody else is there, however warm the model is.
    able = [target for target in able if target not in sick] or able
    # 3. Where the model is warm already: a second copy takes memory from somebody's chat model.
    able = [target for target in able if target in warm] or able
    # 4. The least busy; of equals the first of the settings.
    return min(able, key=lambda target: busy.get(target, 0), default=None)
