"""Whether a model is for embeddings, where the targets' lists do not say: they are asked once.

Older versions of Ollama list no capabilities. What `/api/show` says holds for the digest, that is
for as long as the model's files are the same.
"""

import json
import logging
import threading
from collections import OrderedDict

from foreman.adapters.catalog import Placement
from foreman.adapters.target import TargetRequest
from foreman.core.embedding import Listed, embeds_by_show
from foreman.errors import ServerBusy, TargetError
from foreman.runtime import WebRuntime

log = logging.getLogger(__name__)

SHOW_LIMIT_S = 3.0
DIGESTS_LIMIT = 1000


class Capabilities:
    """What one web process has found out, by digest."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._lock = threading.Lock()

    def is_embedding(self, model: str, placed: Placement) -> bool:
        """Whether `model` is an embedding model on every target that has it and answers."""
        pairs = list(zip(placed.targets, placed.listed, strict=True))
        answering = [pair for pair in pairs if self._runtime.catalog.is_reachable(pair[0])]
        return all(self._embeds(target, model, entry) for target, entry in answering or pairs)

    def _embeds(self, target: str, model: str, entry: Listed) -> bool:
        if entry.embeds is not None:
            return entry.embeds
        with self._lock:
            known = self._known.get(entry.digest)
        if known is None:
            known = self._show(target, model)
            if known is not None and entry.digest:
                self._keep(entry.digest, known)
        # What nobody knows for an embedding model must not pass the queue.
        return bool(known)

    def _keep(self, digest: str, embeds: bool) -> None:
        with self._lock:
            self._known[digest] = embeds
            while len(self._known) > DIGESTS_LIMIT:
                self._known.popitem(last=False)

    def _show(self, target: str, model: str) -> bool | None:
        if not self._runtime.catalog.is_reachable(target):
            return None  # a request never waits for a target that is known to be away
        asked = TargetRequest("POST", "/api/show", body=json.dumps({"model": model}).encode())
        try:
            head, body = self._runtime.targets[target].fetch(asked, silence_s=SHOW_LIMIT_S)
            if head.status != 200:
                return None
            return self._runtime.turns.run(embeds_by_show(body), len(body))
        except (TargetError, ServerBusy, ValueError) as error:
            log.warning(
                "capabilities not read",
                extra={"target": target, "model": model, "error": str(error)},
            )
            return None
