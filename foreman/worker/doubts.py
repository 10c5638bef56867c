"""Carries out `DoubtMessages`: the relay looks for lost messages when a worker misses them."""

import logging

from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.store import upkeep
from foreman.worker.effects import DoubtMessages

log = logging.getLogger(__name__)

# A message that was sent less long ago may be on its way.
ON_ITS_WAY_S = 2.0


class Doubts:
    """Called by one thread; what is lost here is found by the relay all the same, later."""

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._database = runtime.database

    def report(self, effect: DoubtMessages) -> None:
        """Write it into the rows."""
        try:
            with self._database.statement() as connection:
                upkeep.doubt_messages(connection, effect.queue, younger_s=ON_ITS_WAY_S)
        except DatabaseUnavailable as error:
            log.warning("missing messages not reported", extra={"error": str(error)})
