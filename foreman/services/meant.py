"""Which targets a request goes to: those that its route means, in the order to ask them.

A target that is known to be away is never among them.
"""

import math
from collections.abc import Sequence

from foreman.core import headers as header_rules
from foreman.core.queues import canonical_name
from foreman.core.surface import Targets
from foreman.errors import NoLiveTarget, RequestRefused
from foreman.runtime import WebRuntime


def targets_for(
    runtime: WebRuntime, targets: Targets, *, named: str | None, model: str = ""
) -> Sequence[str]:
    """At least one target; NoLiveTarget when none of those that are meant answers.

    `named`: by X-Foreman-Target. `model`: what the request is about, by any of its names.
    """
    if named is not None:
        return answering(runtime, [chosen_target(runtime, named)])
    if targets is Targets.CHOSEN:
        return answering(runtime, runtime.catalog.targets[:1])
    if targets in (Targets.HAVING, Targets.ALL_HAVING):
        return targets_having(runtime, model)
    return answering(runtime, runtime.catalog.targets)


def targets_having(runtime: WebRuntime, model: str) -> Sequence[str]:
    """Those that have a model, by any of its names; when none has, all: one reports that."""
    name = canonical_name(model)
    found = runtime.catalog.find(name) if name else None
    return answering(runtime, found.targets if found else runtime.catalog.targets)


def answering(runtime: WebRuntime, targets: Sequence[str]) -> Sequence[str]:
    """Those of `targets` that answer, those that do real work first; NoLiveTarget for none."""
    found = [name for name in targets if runtime.catalog.is_reachable(name)]
    if not found:
        raise nobody_answers(runtime, targets)
    sick = sick_targets(runtime)
    return sorted(found, key=lambda name: name in sick)


def is_long_away(runtime: WebRuntime, targets: Sequence[str]) -> bool:
    """Whether all `targets` have been away for longer than a request waits for one."""
    return back_within_s(runtime, targets) <= 0


def back_within_s(runtime: WebRuntime, targets: Sequence[str]) -> float:
    """How long a request still waits for one of `targets` to answer again; infinite: one does."""
    away_s = min(map(runtime.catalog.away_s, targets), default=0.0)
    return runtime.settings.absence_grace_s - away_s if away_s else math.inf


def nobody_answers(runtime: WebRuntime, targets: Sequence[str]) -> NoLiveTarget:
    """Why none of `targets` serves a request; without its own reason it is for want of a worker."""
    troubles = runtime.catalog.troubles(targets)
    return NoLiveTarget(f"server busy, please try again: {troubles}" if troubles else "")


def sick_targets(runtime: WebRuntime) -> set[str]:
    """Targets that do no work, as their workers have found."""
    return {each.name for each in runtime.queues.targets if each.sick_reason is not None}


def chosen_target(runtime: WebRuntime, wanted: str) -> str:
    """The target that X-Foreman-Target names; RequestRefused when there is none of that name."""
    if wanted not in runtime.targets:
        known = ", ".join(runtime.targets)
        raise RequestRefused(f"{header_rules.TARGET} names no target; there are: {known}")
    return wanted
