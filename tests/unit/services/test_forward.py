"""Answers that are passed on, from a target that never comes to an end."""

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.errors import TargetTimeout
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services import forward
from foreman.services.forward import Forwarding
from tests.fakes.hostile_lists import HostileLists
from tests.fakes.silent import silent_server

ASKED = TargetRequest("GET", "/api/tags")


def forwarding(url: str) -> Forwarding:
    client = TargetClient(TargetSpec(name="gpu", url=url, slots=1), silence_s=60, connections=1)
    runtime = cast(WebRuntime, SimpleNamespace(targets={"gpu": client}))
    return Forwarding(runtime, ["gpu"], ASKED, limit_bytes=1000)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "ANSWER_LIMIT_S", 0.5)


@pytest.fixture
def dripping() -> Iterator[HostileLists]:
    with HostileLists({"/api/tags": None}) as target:
        target.drips_every_s = 0.05
        yield target


def test_an_answer_that_drips_ends_with_an_error_at_its_deadline(dripping: HostileLists) -> None:
    with closing(forwarding(dripping.url)) as passing:
        answer = passing.start()

        with pytest.raises(TargetTimeout, match=r"did not answer completely within 0\.5 s"):
            list(answer.body)


def test_a_target_that_says_nothing_has_the_same_deadline() -> None:
    with silent_server() as url, closing(forwarding(url)) as passing, pytest.raises(TargetTimeout):
        passing.start()
