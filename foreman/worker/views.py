"""Carries out `Look`: what waits for a target, from the database and the target's own lists."""

import logging
import time
from collections import defaultdict

from foreman.core.lease import Lease
from foreman.core.outlook import Costs
from foreman.core.waiting import Waiting
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.store.outlook import read_outlook
from foreman.worker.effects import Look
from foreman.worker.events import Viewed
from foreman.worker.state import View

log = logging.getLogger(__name__)


class Views:
    """Called by one thread at a time; each look is a read of the database, and asks no target."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._runtime = runtime
        self._pinned = frozenset(runtime.settings.pinned)

    def look(self, effect: Look) -> Viewed:
        """Read what waits. It always reports: the worker waits for it."""
        try:
            return Viewed(effect.lease, self._view(effect.lease))
        except DatabaseUnavailable as error:
            log.warning("what waits was not read", extra={"error": str(error)})
        except Exception:  # a defect: the next look may do better
            log.exception("look failed")
        return Viewed(effect.lease, None)

    def _view(self, lease: Lease) -> View:
        at, target = time.monotonic(), lease.target
        catalog, settings = self._runtime.catalog, self._runtime.settings
        with self._runtime.database.statement() as connection:
            outlook = read_outlook(connection, target, keep_embeddings_s=settings.keep_embeddings_s)
        mine: dict[str, list[Waiting]] = defaultdict(list)
        for each in outlook.waiting:
            if self._may_serve(each, target):
                mine[each.queue].append(each)
        models = catalog.models_of(target)
        return View(
            at=at,
            took_s=time.monotonic() - at,
            waiting={queue: tuple(rows) for queue, rows in mine.items()},
            names=frozenset(each.name for each in outlook.waiting),
            costs=Costs(outlook.costs),
            elsewhere=outlook.elsewhere,
            loading_elsewhere=outlook.loading_elsewhere,
            models=models,
            kept=(self._pinned | outlook.used) & models,
            sizes=catalog.sizes_of(target),
        )

    def _may_serve(self, waiting: Waiting, target: str) -> bool:
        if waiting.pinned_target not in (None, target):
            return False
        found = self._runtime.catalog.look_up(waiting.model)
        # What no target has any more, any may take: its answer says so in Ollama's own words.
        return found is None or target in found.targets
