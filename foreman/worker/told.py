"""Carries out what is told of a target: kept here, in order, until the database takes it."""

import logging
import threading
from collections import deque
from functools import partial

from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.store import residents
from foreman.worker.effects import RecordLoad, SaveRoom, TellHealth, TellLoading, TellResidents

log = logging.getLogger(__name__)

Told = TellLoading | TellResidents | RecordLoad | SaveRoom | TellHealth

# What the database has not taken: about as many loads as an hour of outage sees.
UNTOLD_LIMIT = 1000


class Teller:
    """`tell` is called by one thread; what fails is told again by the next one, or by `flush`.

    Of a target's state only the newest counts; of its loads, each is a line. With more than
    UNTOLD_LIMIT the oldest are lost.
    """

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._database = runtime.database
        self._untold: deque[Told] = deque(maxlen=UNTOLD_LIMIT)
        self._one_writer = threading.Lock()

    def tell(self, effect: Told) -> None:
        """Write this, after all that was told before."""
        with self._one_writer:
            if not isinstance(effect, RecordLoad):
                self._forget_older(type(effect))
            self._untold.append(effect)
        self.flush()

    def flush(self) -> None:
        """Write what is still to be written, oldest first; called now and then."""
        with self._one_writer:
            while self._untold:
                oldest = self._untold.popleft()  # what is a defect is not tried again
                try:
                    self._write(oldest)
                except DatabaseUnavailable as error:
                    facts = {"what": type(oldest).__name__, "error": str(error)}
                    log.warning("target's row not written", extra=facts)
                    self._untold.appendleft(oldest)
                    return

    def _forget_older(self, kind: type[Told]) -> None:
        kept = [each for each in self._untold if not isinstance(each, kind)]
        if len(kept) < len(self._untold):
            self._untold = deque(kept, maxlen=UNTOLD_LIMIT)

    def _write(self, told: Told) -> None:
        match told:
            case TellLoading(lease, queue, reason):
                write = partial(residents.tell_loading, lease=lease, queue=queue, reason=reason)
            case TellResidents(lease, rows):
                write = partial(residents.tell_residents, lease=lease, rows=rows)
            case RecordLoad(lease, row):
                write = partial(residents.record_load, lease=lease, row=row)
            case SaveRoom(lease, room):
                write = partial(residents.save_room, lease=lease, room=room)
            case TellHealth(lease, reason):
                write = partial(residents.mark_sick, lease=lease, reason=reason)
        with self._database.transaction() as connection:
            write(connection)
