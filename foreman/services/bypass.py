"""Embeddings past the queue: straight to a target, so many at once; what they use is kept loaded.

1. The model is one for embeddings: past the queue.
2. It runs elsewhere: past the queue, too; it needs no GPU of the targets.
3. No target has it, or the body names none: past the queue, for the target's own error.
4. Any other model: a job, since the request loads it as a chat would (`needs_queue`).

Which target is decided by `core.embedding`; keeping the model there is the worker's (`warm`).
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from foreman.adapters.target import TargetRequest
from foreman.core.embedding import pick_target
from foreman.core.queues import canonical_name, is_cloud_name, residency_of
from foreman.errors import BypassFull, ClientLeft, TargetError, TargetUnreachable
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer
from foreman.services.capabilities import Capabilities
from foreman.services.forward import Forwarding
from foreman.services.meant import answering, sick_targets, targets_having
from foreman.services.submit import Request

# A target that failed an embedding is asked after the others for so long.
FAILING_S = 30.0
# How long an embedding waits for a place before it is told to come back.
BYPASS_WAIT_S = 60.0


class Places:
    """The places for embeddings of one web process: so many a target."""

    def __init__(self, runtime: WebRuntime) -> None:
        count = runtime.settings.bypass_concurrency
        self._free = {name: threading.BoundedSemaphore(count) for name in runtime.targets}
        self._asked: Counter[tuple[str, str]] = Counter()
        self._failed_at: dict[str, float] = {}

    @property
    def busy(self) -> dict[str, int]:
        """How many embeddings run or wait, by target."""
        counts: Counter[str] = Counter()
        for (target, _), asked in self._asked.items():
            counts[target] += asked
        return counts

    def targets_of(self, model: str) -> set[str]:
        """The targets that are being asked for embeddings with this model."""
        return {
            target for (target, asked), count in self._asked.items() if asked == model and count
        }

    @property
    def failing(self) -> set[str]:
        """The targets that have failed an embedding a short time ago."""
        since = time.monotonic() - FAILING_S
        return {target for target, at in self._failed_at.items() if at > since}

    def note_failure(self, target: str) -> None:
        """A target was silent, or hung up, with an embedding."""
        self._failed_at[target] = time.monotonic()

    def take(self, target: str, model: str) -> None:
        """Wait for a place; BypassFull when none gets free in time."""
        self._asked[target, model] += 1
        if not self._free[target].acquire(timeout=BYPASS_WAIT_S):
            self._forget(target, model)
            raise BypassFull

    def give(self, target: str, model: str) -> None:
        """Let a place go."""
        self._free[target].release()
        self._forget(target, model)

    def _forget(self, target: str, model: str) -> None:
        self._asked[target, model] -= 1
        if not self._asked[target, model]:
            del self._asked[target, model]


class Bypass:
    """One embedding on its way: a target, a place there, the answer's bytes."""

    def __init__(
        self,
        runtime: WebRuntime,
        places: Places,
        asked: Request,
        request: TargetRequest,
        wanted: str | None = None,
    ) -> None:
        self._runtime = runtime
        self._wanted = wanted  # the one target that the caller named
        self._places = places
        self._request = request
        self._model, self._is_kept = _model_of(asked)
        self._target: str | None = None  # where it has a place
        self._forwarding: Forwarding | None = None
        self._has_left = False

    def start(self) -> Answer:
        """Ask one target after the other, until one answers; NoLiveTarget when all are away."""
        having = list(self._having())
        while True:
            target = self._pick(having)
            try:
                return self._ask(target)
            except TargetError as error:
                if isinstance(error, TargetUnreachable):
                    self._runtime.catalog.lose(target, str(error))
                elif not self._has_left:
                    self._places.note_failure(target)
                having.remove(target)
                if self._has_left or not having:
                    raise
                self.close()

    def _having(self) -> Sequence[str]:
        """The targets that may answer: nobody waits for a connection that is known not to come."""
        if self._wanted is not None:
            return answering(self._runtime, [self._wanted])
        return targets_having(self._runtime, self._model)

    def leave(self) -> None:
        self._has_left = True
        if self._forwarding is not None:
            self._forwarding.leave()

    def close(self) -> None:
        if self._forwarding is not None:
            self._forwarding.close()
        target, self._target = self._target, None
        if target is not None:
            self._places.give(target, self._model)

    def _pick(self, having: list[str]) -> str:
        kept = {target for target, model in self._runtime.kept if model == self._model}
        target = pick_target(
            having,
            reachable=self._runtime.catalog.reachable,
            warm=kept | self._places.targets_of(self._model),
            busy=self._places.busy,
            sick=sick_targets(self._runtime) | self._places.failing,
        )
        assert target is not None  # there is one to pick from
        return target

    def _ask(self, target: str) -> Answer:
        self._places.take(target, self._model)
        self._target = target
        self._forwarding = Forwarding(self._runtime, [target], self._request)
        if self._has_left:
            raise ClientLeft
        answer = self._forwarding.start()
        self._request = replace(self._request, body=None)  # nobody else will be asked
        if answer.status == 200 and self._is_kept:
            # Here at once, for the next choice; for other processes when `upkeep` writes it.
            self._runtime.kept |= {(target, self._model)}
            self._runtime.embedded.put((target, self._model))
        return answer


def needs_queue(runtime: WebRuntime, capabilities: Capabilities, asked: Request) -> bool:
    """Whether an embedding request has to be a job."""
    model, _ = _model_of(asked)
    if not model or is_cloud_name(model):
        return False
    found = runtime.catalog.find(model)
    if found is None or found.is_remote:
        return False
    return not capabilities.is_embedding(model, found)


def _model_of(asked: Request) -> tuple[str, bool]:
    """The canonical model ("" for none), and whether it is one to keep loaded.

    One with runner options is not: a load without them would make Ollama load it anew.
    """
    looked = asked.look
    if looked is None:
        return "", False
    model = canonical_name(looked.model) or ""
    has_options = bool(residency_of(model, looked.runner_options).options)
    return model, bool(model) and not (has_options or looked.unloads_after)
