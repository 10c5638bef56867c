"""Merged lists: all targets are asked at once, each once, and none that is known to be away."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.target import TargetRequest
from foreman.core.frames import Head
from foreman.core.surface import Route, find_route
from foreman.errors import NoLiveTarget, TargetTimeout, TargetUnreachable
from foreman.runtime import WebRuntime
from foreman.services import merging
from foreman.services.merging import MergedLists, ask_each
from foreman.turns import Turns

LIMIT_S = 1.0


class Target:
    """Answers its list, or does what is given in place of that."""

    def __init__(self, name: str, instead: Callable[[], object] | None = None) -> None:
        self.name, self.instead = name, instead
        self.asked = 0

    def fetch(self, request: TargetRequest, *, silence_s: float) -> tuple[Head, bytes]:
        self.asked += 1
        if self.instead is not None:
            self.instead()
        body = json.dumps({"models": [{"name": self.name}]}).encode()
        return Head(200, [("Content-Type", "application/json")]), body


class Fleet:
    """A web process with these targets."""

    def __init__(self, *targets: Target) -> None:
        self.targets = {each.name: each for each in targets}
        self.away: set[str] = set()
        catalog = SimpleNamespace(
            targets=tuple(self.targets),
            is_reachable=lambda name: name not in self.away,
            lose=lambda name, _: self.away.add(name),
            troubles=lambda names: "",
        )
        queues = SimpleNamespace(targets=[])
        runtime = SimpleNamespace(
            targets=self.targets, catalog=catalog, queues=queues, turns=Turns()
        )
        self.runtime = cast(WebRuntime, runtime)
        self.lists = MergedLists(self.runtime)

    def names(self) -> list[str]:
        route = find_route("GET", "/api/tags")
        assert isinstance(route, Route)
        body = b"".join(self.lists.merged(route).body)
        return [each["name"] for each in json.loads(body)["models"]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "LIST_LIMIT_S", LIMIT_S)


def hangs() -> None:
    time.sleep(LIMIT_S)
    raise TargetTimeout


def test_targets_that_hang_cost_one_limit_in_all_and_then_nothing() -> None:
    fleet = Fleet(
        Target("one", hangs), Target("two"), Target("three", hangs), Target("four", hangs)
    )
    began_at = time.monotonic()

    first = fleet.names()
    took_s = time.monotonic() - began_at
    again = [fleet.names() for _ in range(20)]

    assert first == ["two"]
    assert took_s < 2.5 * LIMIT_S  # and not three times the limit
    assert again == [["two"]] * 20
    assert fleet.targets["one"].asked == 1


def test_all_who_ask_at_once_share_one_query_of_each_target() -> None:
    goes_on = threading.Event()
    fleet = Fleet(Target("one", lambda: goes_on.wait(10)), Target("two"))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(fleet.names) for _ in range(8)]
        goes_on.set()
        answers = [each.result() for each in asked]

    assert answers == [["one", "two"]] * 8
    assert [each.asked for each in fleet.targets.values()] == [1, 1]


def test_a_list_is_asked_for_again_when_it_is_too_old_or_has_probably_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet(Target("one"))
    fleet.names()
    fleet.lists.expire()
    fleet.names()
    assert fleet.targets["one"].asked == 2

    monkeypatch.setattr(merging, "LIST_AGE_S", 0.0)
    fleet.names()

    assert fleet.targets["one"].asked == 3


def test_a_target_that_is_away_is_not_asked() -> None:
    fleet = Fleet(Target("one"), Target("two"))
    fleet.away.add("one")

    assert fleet.names() == ["two"]
    assert fleet.targets["one"].asked == 0


def test_one_that_refuses_the_connection_is_away_from_then_on() -> None:
    def refuses() -> None:
        raise TargetUnreachable

    fleet = Fleet(Target("one", refuses))

    with pytest.raises(NoLiveTarget):
        fleet.names()
    assert fleet.away == {"one"}


def test_what_is_for_each_target_has_the_answer_of_the_first_that_gives_one() -> None:
    fleet = Fleet(Target("one", hangs), Target("two"), Target("three"))

    answer = ask_each(fleet.runtime, list(fleet.targets), TargetRequest("POST", "/api/chat"))

    assert dict(answer.headers)["X-Foreman-Target"] == "two"
    assert [each.asked for each in fleet.targets.values()] == [1, 1, 1]


def test_what_no_target_did_has_the_error_of_the_first() -> None:
    fleet = Fleet(Target("one", hangs), Target("two", hangs))

    with pytest.raises(TargetTimeout):
        ask_each(fleet.runtime, list(fleet.targets), TargetRequest("POST", "/api/chat"))
