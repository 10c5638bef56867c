"""Places for exchanges with receivers: half of them are kept for those that answer soon.

A receiver that is dead holds each of its places until a time-out. However many are, they cannot
take the places of the others, for nobody gets into the kept half but by having answered soon.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

# An exchange that takes longer makes its receiver an unproven one.
SOON_S = 2.0
PROVEN_LIMIT = 1000  # receivers that are remembered


@dataclass(frozen=True, slots=True)
class Room:
    """Places that are free now."""

    total: int
    unproven: int  # of these, for receivers that are not `proven`
    proven: tuple[str, ...]


class Lanes:
    """Who is under way; times are seconds of any one clock."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._under_way: dict[Hashable, tuple[str, float]] = {}  # receiver, since when
        self._proven: OrderedDict[str, None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many exchanges are under way."""
        return len(self._under_way)

    def enter(self, exchange: Hashable, receiver: str, now_s: float) -> None:
        """`exchange` names one claim: a delivery that is claimed again is another exchange."""
        self._under_way[exchange] = (receiver, now_s)

    def leave(self, exchange: Hashable, now_s: float) -> None:
        receiver, since_s = self._under_way.pop(exchange)
        self._proven.pop(receiver, None)
        if now_s - since_s <= SOON_S:
            self._proven[receiver] = None
        if len(self._proven) > PROVEN_LIMIT:
            self._proven.popitem(last=False)  # the one that was heard of longest ago

    def room(self, now_s: float) -> Room:
        """What is free; a receiver that is being waited for too long is not proven any more."""
        for receiver, since_s in self._under_way.values():
            if now_s - since_s > SOON_S:
                self._proven.pop(receiver, None)
        unproven = sum(receiver not in self._proven for receiver, _ in self._under_way.values())
        return Room(
            total=self._places - len(self._under_way),
            unproven=max(self._places // 2 - unproven, 0),
            proven=tuple(self._proven),
        )
