"""A generation that no queue can be found for: its target answers it, so many at once and no more.

Most are errors, and the target's own words. But foreman may know less than the target, and what it
cannot place could be a generation: it takes the place of an embedding.
"""

from foreman.adapters.target import TargetRequest
from foreman.errors import ClientLeft
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer
from foreman.services.bypass import Places
from foreman.services.forward import Forwarding

_NO_MODEL = ""


class Unplaced:
    """One such request on its way: it waits for a place, and holds it until its answer ends."""

    def __init__(
        self, runtime: WebRuntime, places: Places, target: str, request: TargetRequest
    ) -> None:
        self._places = places
        self._target = target
        self._forwarding = Forwarding(runtime, [target], request)
        self._has_place = False
        self._has_left = False

    def start(self) -> Answer:
        """Ask the target; BypassFull when no place gets free in time."""
        self._places.take(self._target, _NO_MODEL)
        self._has_place = True
        if self._has_left:
            raise ClientLeft
        return self._forwarding.start()

    def leave(self) -> None:
        self._has_left = True
        self._forwarding.leave()

    def close(self) -> None:
        self._forwarding.close()
        has_place, self._has_place = self._has_place, False
        if has_place:
            self._places.give(self._target, _NO_MODEL)
