"""A client that has to wait long: foreman sends it keep-alives before the answer begins."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.acceptance.clients.tap import Tap
from tests.acceptance.clients.witness import CHAT, Witness, all_slots_held
from tests.stack import wait_for

T = TypeVar("T")

READ_LIMIT_S = 20.0


class LongWait:
    """A foreman that soon sends keep-alives, behind a tap, and a target that says nothing yet."""

    def __init__(self, witness: Witness, tap: Tap) -> None:
        self.url = tap.url
        self._witness = witness
        self._tap = tap

    def through(self, read: Callable[[], T], *, keepalives: int = 2) -> T:
        """What `read` returns when the target is silent until so many keep-alives have passed."""
        self._witness.simulation.fault("stall_before", times=1)
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(read)
            try:
                self._wait_for_keepalives(keepalives)
            finally:
                self._witness.go_on()
            return answer.result(READ_LIMIT_S)

    def through_to_an_error(self, read: Callable[[], T]) -> T:
        """The same for a client that waits in its queue, and whose target then answers 500."""
        with ThreadPoolExecutor(1) as thread:
            with all_slots_held(self._witness):
                self._witness.simulation.fault("error500", model=CHAT, times=1)
                answer = thread.submit(read)
                self._wait_for_keepalives(2)
            return answer.result(READ_LIMIT_S)

    def _wait_for_keepalives(self, count: int) -> None:
        wait_for(lambda: self._tap.keepalives() >= count, what=f"{count} keep-alives have passed")
