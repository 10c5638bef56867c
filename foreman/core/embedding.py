"""Where an embedding goes: values in, a target out. It never waits behind generations."""

from collections.abc import Collection, Mapping, Sequence


def pick_target(
    having: Sequence[str],
    *,
    reachable: Collection[str],
    warm: Collection[str],
    busy: Mapping[str, int],
) -> str | None:
    """The target for an embedding with a model that the targets `having` have; None for none.

    `warm` are those where the model is loaded or about to be; `busy` counts embeddings.
    """
    # 1. Who does not answer is asked only when nobody else has the model.
    able = [target for target in having if target in reachable] or list(having)
    # 2. Where the model is warm already: a second copy takes memory from somebody's chat model.
    able = [target for target in able if target in warm] or able
    # 3. The least busy; of equals the first of the settings.
    return min(able, key=lambda target: busy.get(target, 0), default=None)
