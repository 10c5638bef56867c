"""An embedding asks one target after the other, those that work first, until one answers."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from queue import SimpleQueue
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.catalog import Placement
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.bodies import Look
from foreman.core.embedding import Listed
from foreman.errors import NoLiveTarget, TargetTimeout
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services.bypass import Bypass, Places
from foreman.services.submit import Request
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.fakes.silent import silent_server

MODEL = "embeds:latest"
SILENCE_S = 0.5
BODY = b'{"model":"embeds","input":"x"}'


class Web:
    """A web process with a target that hangs, where the model is warm, and one that works."""

    def __init__(self, running: ExitStack) -> None:
        self.works = running.enter_context(ScriptedTarget(lambda _: Reply()))
        urls = {"hangs": running.enter_context(silent_server()), "works": self.works.url}
        targets = {}
        for name, url in urls.items():
            spec = TargetSpec(name=name, url=url, slots=1)
            client = TargetClient(spec, silence_s=SILENCE_S, connections=1)
            targets[name] = running.enter_context(closing(client))
        self.away: set[str] = set()
        self.sick: list[SimpleNamespace] = []
        names = tuple(targets)
        placed = Placement(names, is_remote=False, listed=(Listed(), Listed()))
        catalog = SimpleNamespace(
            targets=names,
            reachable=names,
            find=lambda model: placed,
            is_reachable=lambda name: name not in self.away,
            lose=lambda name, _: self.away.add(name),
            troubles=lambda asked: "it is off",
        )
        self.runtime = cast(
            WebRuntime,
            SimpleNamespace(
                settings=SimpleNamespace(bypass_concurrency=1),
                targets=targets,
                catalog=catalog,
                queues=SimpleNamespace(targets=self.sick),
                kept=frozenset({("hangs", MODEL)}),
                embedded=SimpleQueue(),
            ),
        )
        self.places = Places(self.runtime)

    def embed(self) -> int:
        looked = SimpleNamespace(look=Look("embeds", streams=False))
        sent = TargetRequest("POST", "/api/embed", body=BODY)
        bypass = Bypass(self.runtime, self.places, cast(Request, looked), sent)
        with closing(bypass):
            answer = bypass.start()
            b"".join(answer.body)
            return answer.status


@pytest.fixture
def web() -> Iterator[Web]:
    with ExitStack() as running:
        yield Web(running)


def test_after_a_timeout_another_target_gets_the_whole_request(web: Web) -> None:
    assert web.embed() == 200
    (asked,) = web.works.asked_for("/api/embed")
    assert asked.body == BODY
    assert web.places.busy == {}


def test_a_target_that_was_silent_is_asked_after_the_others_for_a_while(web: Web) -> None:
    web.embed()
    assert web.places.failing == {"hangs"}

    # Were the warm one asked first, its one place would be waited for.
    web.places.take("hangs", MODEL)
    assert web.embed() == 200


def test_a_sick_target_is_asked_after_the_others_however_warm_it_is(web: Web) -> None:
    web.sick.append(SimpleNamespace(name="hangs", sick_reason="it was silent"))

    assert web.embed() == 200
    assert web.places.failing == set()


def test_the_last_targets_error_is_the_answer(web: Web) -> None:
    web.away.add("works")

    with pytest.raises(TargetTimeout):
        web.embed()


def test_when_all_are_away_nobody_is_asked_and_the_reason_is_given(web: Web) -> None:
    web.away |= {"hangs", "works"}

    with pytest.raises(NoLiveTarget, match="it is off"):
        web.embed()
