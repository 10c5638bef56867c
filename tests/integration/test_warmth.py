"""Keeping models loaded, turn by turn: a real database, a simulated Ollama, no worker around it."""

import json
import logging
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from foreman.adapters.memory import loaded_models
from foreman.config import from_env
from foreman.core.warm import Serving
from foreman.runtime import WorkerRuntime
from foreman.services.warm import Warmth
from foreman.simulation.process import SimulationProcess
from foreman.store import kept
from tests.factories import environ
from tests.integration.conftest import NewOllama

MODELS = "chat=4GiB,huge=99GiB,embed=1GiB;caps=embedding"
EMBED, CHAT = "embed:latest", "chat:latest"


def ask(ollama: SimulationProcess, path: str, body: Any) -> None:
    """Past foreman, straight to the server."""
    data = json.dumps(body).encode()
    with urllib.request.urlopen(ollama.url + path, data=data, timeout=10) as answer:
        assert answer.status == 200


class Ground:
    """One worker's warmth over one server; tests say what the drain does."""

    def __init__(self, ollama: SimulationProcess, database_url: str, pinned: str = "") -> None:
        self.ollama = ollama
        settings = from_env(
            environ(
                DATABASE_URL=database_url,
                FOREMAN_TARGETS=f"gpu={ollama.url}",
                FOREMAN_PINNED=pinned,
            )
        )
        self.runtime = WorkerRuntime(settings, worker="worker")
        self.runtime.catalog.refresh()
        self.serving = Serving(None, is_running=False)
        self.may_load = True
        self.warmth = Warmth(
            self.runtime, serving=lambda: self.serving, may_load=lambda: self.may_load
        )

    def use(self, model: str) -> None:
        with self.runtime.database.statement() as connection:
            kept.note_uses(connection, {("gpu", model), ("elsewhere", "chat:latest")})

    def load(self, model: str, keep_alive: str = "5m") -> None:
        """As a client or the drain does it."""
        route = "embed" if model == EMBED else "generate"
        ask(self.ollama, f"/api/{route}", {"model": model, "keep_alive": keep_alive})

    def unload(self, model: str) -> None:
        ask(self.ollama, "/api/generate", {"model": model, "keep_alive": 0})

    def turn(self) -> list[str]:
        """One turn; what is loaded after it."""
        self.warmth.turn("gpu")
        return self.loaded()

    def loaded(self) -> list[str]:
        return sorted(self.ollama.state()["loaded"])

    def loads(self, model: str) -> int:
        return [event["model"] for event in self.ollama.log("load")].count(model)


NewGround = Callable[..., Ground]


@pytest.fixture
def new_ground(new_ollama: NewOllama, database_url: str) -> Iterator[NewGround]:
    grounds: list[Ground] = []

    def make(*, memory: str = "6GiB", pinned: str = "") -> Ground:
        ollama = new_ollama(models=MODELS, memory=memory, load_s=0.01)
        grounds.append(Ground(ollama, database_url, pinned))
        return grounds[-1]

    yield make
    for ground in grounds:
        ground.runtime.close()


def test_a_model_in_use_that_is_gone_is_put_back_once(new_ground: NewGround) -> None:
    ground = new_ground()
    ground.use(EMBED)

    assert [ground.turn() for _ in range(3)] == [["embed"]] * 3
    assert ground.loads("embed") == 1
    assert ground.warmth.kept == {EMBED}


def test_a_model_whose_last_use_is_long_ago_is_let_go(new_ground: NewGround) -> None:
    ground = new_ground()
    ground.use(EMBED)
    ground.turn()

    with ground.runtime.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE kept_models SET used_at = now() - interval '1 hour'")
    ground.unload(EMBED)

    assert ground.turn() == []
    assert ground.warmth.kept == frozenset()


def test_the_keep_alive_of_a_client_is_prolonged(new_ground: NewGround) -> None:
    ground = new_ground()
    ground.use(EMBED)
    ground.load(EMBED, keep_alive="30s")

    ground.turn()

    target = ground.runtime.targets["gpu"]
    left_s = loaded_models(target)[EMBED].expires_in_s
    assert left_s == pytest.approx(ground.runtime.settings.keep_embeddings_s + 60, abs=5)
    assert ground.loads("embed") == 1


def test_nothing_is_loaded_while_the_drain_forbids_it(new_ground: NewGround) -> None:
    ground = new_ground(pinned="chat")
    ground.may_load = False

    assert ground.turn() == []
    assert ground.warmth.kept == {CHAT}
    ground.may_load = True
    assert ground.turn() == ["chat"]


def test_nothing_is_loaded_beside_a_resident_that_is_on_its_way(new_ground: NewGround) -> None:
    ground = new_ground()
    ground.use(EMBED)
    ground.serving = Serving(CHAT, is_running=True)

    assert ground.turn() == []
    ground.load(CHAT)
    assert ground.turn() == ["chat", "embed"]


def test_without_a_leased_target_nothing_is_done(new_ground: NewGround) -> None:
    ground = new_ground(pinned="chat")

    ground.warmth.turn(None)

    assert ground.loaded() == []


def test_a_load_that_fails_is_not_repeated_at_every_look(
    new_ground: NewGround, caplog: pytest.LogCaptureFixture
) -> None:
    ground = new_ground(pinned="huge,chat")

    assert [ground.turn() for _ in range(3)] == [["chat"]] * 3

    (line,) = [each for each in caplog.records if each.message == "model not kept"]
    assert "requires more system memory" in line.__dict__["error"]


def test_a_load_that_the_target_cuts_off_is_tried_again_later(new_ground: NewGround) -> None:
    ground = new_ground(pinned="chat")
    ground.ollama.fault("cut_before", path="/api/generate", model="chat")

    assert [ground.turn() for _ in range(2)] == [[], []]
    assert len(ground.ollama.log("generation")) == 1


def test_a_target_that_does_not_answer_is_looked_at_again(new_ground: NewGround) -> None:
    ground = new_ground(pinned="chat")
    ground.ollama.fault("cut_before", path="/api/ps", times=1)

    assert [ground.turn() for _ in range(2)] == [[], ["chat"]]


def test_a_kept_model_that_drives_the_resident_out_is_told_and_not_repeated(
    new_ground: NewGround, caplog: pytest.LogCaptureFixture
) -> None:
    ground = new_ground(memory="4608MiB")
    ground.serving = Serving(CHAT, is_running=False)
    ground.load(CHAT)
    ground.turn()
    ground.use(EMBED)

    assert ground.turn() == ["embed"]
    ground.load(CHAT)  # the next job

    assert [ground.turn() for _ in range(3)] == [["chat"]] * 3
    assert ground.loads("embed") == 1
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.message for each in errors] == ["models do not fit together"]


def test_it_is_put_back_when_that_chat_model_has_gone(new_ground: NewGround) -> None:
    ground = new_ground(memory="4608MiB")
    ground.use(EMBED)
    ground.turn()
    ground.load(CHAT)
    assert ground.turn() == ["chat"]

    ground.unload(CHAT)

    assert ground.turn() == ["embed"]


def test_two_pinned_models_that_do_not_fit_do_not_chase_each_other(new_ground: NewGround) -> None:
    ground = new_ground(memory="4608MiB", pinned="chat,embed")

    seen = [ground.turn() for _ in range(5)]

    assert len({tuple(each) for each in seen}) == 1
    assert ground.loads("chat") + ground.loads("embed") == 2


def test_the_clashes_of_one_target_are_not_those_of_the_next(new_ground: NewGround) -> None:
    ground = new_ground(memory="4608MiB")
    ground.use(EMBED)
    ground.turn()
    ground.load(CHAT)
    assert ground.turn() == ["chat"]

    ground.warmth.turn(None)

    assert ground.warmth.kept == frozenset()
