"""The lists of the targets: whose answer counts, and whose comes too late to."""

import json
import threading
from collections.abc import Callable
from typing import cast

from foreman.adapters.catalog import Catalog
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.frames import Head
from foreman.errors import TargetUnreachable
from tests.stack import wait_for

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
