"""Whether the target answers is told when it changes, and for another target."""

from types import SimpleNamespace
from typing import Any

from foreman.worker.events import Event, Reached
from foreman.worker.reach import Reach


def test_each_change_is_told_once_and_of_the_leased_target_alone() -> None:
    reachable = {"one": True, "two": False}
    told: list[Event] = []
    leased: list[str | None] = [None]
    catalog: Any = SimpleNamespace(
        is_reachable=reachable.__getitem__, lose=lambda target, _: reachable.update({target: False})
    )
    reach = Reach(catalog, lambda: leased[-1], told.append)

    reach.look()
    assert told == []
    leased.append("one")
    reach.look()
    reach.look()
    assert told == [Reached(True)]
    reach.lose("one")
    reach.look()
    assert told == [Reached(True), Reached(False)]
    reachable["one"] = True
    reach.look()
    leased.append("two")
    reach.look()
    assert told == [Reached(True), Reached(False), Reached(True), Reached(False)]
