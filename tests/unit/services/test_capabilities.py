"""Whether a model is for embeddings: who is asked, and what an answer that says nothing means."""

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.target import TargetClient
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services.capabilities import Capabilities
from foreman.turns import Turns
from tests.fakes.scripted_target import Asked, Reply, ScriptedTarget

EMBEDS = b'{"capabilities":["embedding"]}'


class Old:
    """A target whose list names no capabilities, and what a process knows of it."""

    def __init__(self, catalog: Catalog, client: TargetClient, fake: ScriptedTarget) -> None:
        self.catalog, self.fake = catalog, fake
        runtime = SimpleNamespace(catalog=catalog, targets={"gpu": client}, turns=Turns())
        self.capabilities = Capabilities(cast(WebRuntime, runtime))
        self.shown = EMBEDS

    def is_embedding(self) -> bool:
        placed = self.catalog.look_up("m:latest")
        assert placed is not None
        return self.capabilities.is_embedding("m:latest", placed)


@pytest.fixture
def old() -> Iterator[Old]:
    def script(asked: Asked) -> Reply:
        return Reply(body=made.shown)

    with ScriptedTarget(script, models=[{"name": "m:latest", "digest": "1"}]) as fake:
        spec = TargetSpec(name="gpu", url=fake.url, slots=1)
        with closing(TargetClient(spec, silence_s=20, connections=1)) as client:
            catalog = Catalog({"gpu": client})
            catalog.refresh()
            made = Old(catalog, client, fake)
            yield made


def test_a_target_that_answers_is_asked(old: Old) -> None:
    assert old.is_embedding()
    assert len(old.fake.asked_for("/api/show")) == 1


def test_a_target_that_is_away_is_not_asked(old: Old) -> None:
    old.catalog.lose("gpu")

    assert not old.is_embedding()
    assert old.fake.asked_for("/api/show") == []


@pytest.mark.parametrize("shown", [b"", b"[]", b'{"capabilities":' + b"[" * 100_000])
def test_an_answer_that_says_nothing_lets_no_model_pass_the_queue(old: Old, shown: bytes) -> None:
    old.shown = shown

    assert not old.is_embedding()
