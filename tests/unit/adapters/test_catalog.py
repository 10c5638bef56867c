"""The lists of the targets: whose answer counts, and whose comes too late to."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from foreman.adapters.catalog import Catalog, Placement
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.embedding import Listed
from foreman.core.frames import Head
from foreman.errors import NoLiveTarget, TargetUnreachable
from tests.stack import wait_for

ON_ONE = Placement(("one",), is_remote=False, listed=(Listed(),))
TAGS = json.dumps({"models": [{"name": "qwen3:8b"}]}).encode()


class Client:
    """A target that answers its list as it is told to."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self._answer = answer

    def fetch(self, request: TargetRequest, *, silence_s: float | None) -> tuple[Head, bytes]:
        return Head(200, []), self._answer()


def catalog_of(**answers: Callable[[], bytes]) -> Catalog:
    clients = {name: Client(answer) for name, answer in answers.items()}
    return Catalog(cast(dict[str, TargetClient], clients))


def refuses() -> bytes:
    raise TargetUnreachable


def test_an_answer_counts_although_another_target_hangs() -> None:
    goes_on = threading.Event()

    def hangs() -> bytes:
        goes_on.wait(10)
        return refuses()

    catalog = catalog_of(one=lambda: TAGS, two=hangs)
    refreshing = threading.Thread(target=catalog.refresh)
    refreshing.start()

    wait_for(lambda: catalog.reachable == ("one",))
    assert refreshing.is_alive()
    goes_on.set()
    refreshing.join()
    assert catalog.reachable == ("one",)


def test_an_answer_that_is_older_than_the_loss_of_its_target_does_not_bring_it_back() -> None:
    has_asked, goes_on = threading.Event(), threading.Event()

    def late() -> bytes:
        has_asked.set()
        goes_on.wait(10)
        return TAGS

    catalog = catalog_of(one=late)
    refreshing = threading.Thread(target=catalog.refresh)
    refreshing.start()
    has_asked.wait(10)

    catalog.lose("one")
    goes_on.set()
    refreshing.join()

    assert not catalog.is_reachable("one")
    catalog.refresh()  # asked after it
    assert catalog.is_reachable("one")


def test_a_list_that_no_ollama_writes_is_no_answer() -> None:
    for body in (b'{"models":[null]}', b'{"models":{"a":1}}', b"[]", b"[" * 100_000):
        catalog = catalog_of(one=lambda body=body: body)  # type: ignore[misc]  # mypy has no defaults here
        catalog.refresh()
        assert catalog.reachable == ()


class Lists:
    """The list of one target: counts its queries, and answers each when it is told to."""

    def __init__(self, *models: str, is_held: bool = False) -> None:
        self.models = list(models)
        self.queries = 0
        self.is_away = False
        self.goes_on = threading.Event()
        if not is_held:
            self.goes_on.set()

    def __call__(self) -> bytes:
        self.queries += 1
        names = list(self.models)
        self.goes_on.wait(10)
        if self.is_away:
            return refuses()
        return json.dumps({"models": [{"name": name} for name in names]}).encode()


def test_all_who_miss_a_model_at_once_wait_for_one_query() -> None:
    lists = Lists("a")
    catalog = catalog_of(one=lists)
    catalog.refresh()
    catalog.expire()
    lists.goes_on.clear()
    lists.models.append("b")

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(catalog.find, "b:latest") for _ in range(8)]
        wait_for(lambda: lists.queries == 2)
        lists.goes_on.set()

    assert [each.result() for each in found] == [ON_ONE] * 8
    assert lists.queries == 2


def test_a_lookup_during_the_first_query_waits_for_it() -> None:
    lists = Lists("a", is_held=True)
    catalog = catalog_of(one=lists)
    refreshing = threading.Thread(target=catalog.refresh)
    refreshing.start()
    wait_for(lambda: lists.queries)
    lists.goes_on.set()
    refreshing.join()

    assert catalog.find("a:latest") == ON_ONE
    assert lists.queries == 1


def test_a_miss_is_remembered_for_a_while() -> None:
    lists = Lists("a")
    catalog = catalog_of(one=lists)
    catalog.refresh()

    assert [catalog.find("b:latest") for _ in range(50)] == [None] * 50
    assert lists.queries <= 3  # one a second, and this takes no second


def test_a_target_that_is_away_keeps_its_list_and_is_queried_by_no_request() -> None:
    lists, other = Lists("a"), Lists("b")
    catalog = catalog_of(one=lists, two=other)
    catalog.refresh()
    lists.is_away = True
    catalog.refresh()
    catalog.refresh()
    queries = lists.queries

    assert catalog.reachable == ("two",)
    assert catalog.find("a:latest") == ON_ONE
    catalog.expire()
    assert catalog.find("c:latest") is None
    assert lists.queries == queries


def test_a_target_that_was_never_heard_may_have_any_model() -> None:
    lists = Lists("a")
    catalog = catalog_of(one=lists, two=refuses)
    catalog.refresh()

    assert catalog.find("a:latest") == ON_ONE
    assert catalog.find("b:latest", on="one") is None
    for on in (None, "two"):
        with pytest.raises(NoLiveTarget, match="not listed their models yet: two"):
            catalog.find("b:latest", on=on)


def test_a_lookup_on_one_target_sees_no_other() -> None:
    catalog = catalog_of(one=Lists("a"), two=Lists("b"))
    catalog.refresh()

    assert catalog.find("a:latest", on="one") == ON_ONE
    assert catalog.find("a:latest", on="two") is None


def test_a_model_that_one_target_has_by_now_is_found_while_another_does_not_answer() -> None:
    lists, hangs = Lists("a"), Lists("b")
    catalog = catalog_of(one=lists, two=hangs)
    catalog.refresh()
    catalog.expire()
    lists.models.append("c")
    hangs.goes_on.clear()

    assert catalog.find("c:latest") == ON_ONE
    hangs.goes_on.set()


def test_a_target_that_stops_answering_makes_no_model_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("foreman.adapters.catalog.LOOKUP_LIMIT_S", 0.05)
    lists = Lists("a")
    catalog = catalog_of(one=lists)
    catalog.refresh()
    catalog.expire()
    lists.goes_on.clear()

    with pytest.raises(NoLiveTarget, match="one"):
        catalog.find("b:latest")
    assert catalog.find("a:latest") == ON_ONE
    assert lists.queries == 2
    lists.goes_on.set()


def test_a_refresh_with_a_limit_does_not_wait_for_a_target_that_hangs() -> None:
    hangs = Lists("a", is_held=True)
    catalog = catalog_of(one=Lists("b"), two=hangs)

    catalog.refresh(0.5)

    assert catalog.reachable == ("one",)
    assert not hangs.goes_on.is_set()
    hangs.goes_on.set()
