"""Whether the leased target answers, by the catalog's lists and by what runs met."""

import threading
from collections.abc import Callable

from foreman.adapters.catalog import Catalog
from foreman.worker.events import Event, Reached

LOOK_EVERY_S = 0.1


class Reach:
    """Tells each change, once; every method may be called from any thread."""

    def __init__(
        self, catalog: Catalog, target: Callable[[], str | None], tell: Callable[[Event], None]
    ) -> None:
        """`target` is the one that is leased now."""
        self._catalog = catalog
        self._target = target
        self._tell = tell
        self._told: tuple[str, bool] | None = None
        self._lock = threading.Lock()

    def look(self) -> None:
        """To be called every LOOK_EVERY_S or so: it asks nobody."""
        with self._lock:
            target = self._target()
            now = (target, self._catalog.is_reachable(target)) if target else None
            if now is not None and now != self._told:
                self._tell(Reached(now[1]))
            self._told = now

    def lose(self, target: str, trouble: str = "") -> None:
        """It took no request: it is away until it is seen again."""
        self._catalog.lose(target, trouble)
        self.look()
