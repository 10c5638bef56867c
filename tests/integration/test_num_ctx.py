"""FOREMAN_NUM_CTX through the whole stack: what a target loads, what it is sent, what is told.

On one broker: nothing of it depends on which.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.acceptance.clients.tap import Tap
from tests.client import chat, stream
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

SHAPES: list[dict[str, Any]] = [{"num_ctx": 2048}, {"num_ctx": 4096}, {}]
PLAIN_QUEUE = "model.chain-a%3Alatest"
# A body as no library writes it, around its options.
BEGIN, END = b' {"Model":"chain-a", "PROMPT":"\xc3\xa9\\u00e9\xff",', b'"keep_alive":0}trailing'
SMALL = b'"options": { "num_ctx" : 10, "num_predict":1 },'
LARGE = b'"options":{"num_ctx":9e3,"num_predict":1},'


class Ground:
    """A foreman over a simulated Ollama, and a tap between them."""

    def __init__(self, stack: Stack, ollama: SimulationProcess, tap: Tap) -> None:
        self.stack = stack
        self.ollama = ollama
        self._tap = tap
        self._known: list[str] = []

    def start_over(self) -> None:
        """Nothing is loaded, nothing was seen."""
        for name in self.ollama.state()["loaded"]:
            self.stack.post("/api/generate", {"model": name, "keep_alive": 0})
        wait_for(lambda: not self.ollama.state()["loaded"])
        self.ollama.clear()
        self._known = [job["id"] for job in self.stack.jobs()]

    def ask(self, options: dict[str, Any]) -> str | None:
        """One chat with these options; what X-Foreman-Changed says of it."""
        body = chat(options={"num_predict": 2} | options, stream=False)
        return self.post("/api/chat", body)

    def post(self, path: str, body: Any) -> str | None:
        answer = self.stack.post(path, body)
        assert answer.status == 200
        return answer.headers.get("X-Foreman-Changed")

    def has_sent(self, body: bytes) -> bool:
        """Whether a request to the target had this body, all of it."""
        whole = re.compile(rb"\r\n\r\n" + re.escape(body) + rb"(?:GET |POST |\Z)")
        return any(whole.search(asked) for asked in list(self._tap.asked))

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of this test, with their bodies."""
        query = (
            "SELECT queue, body FROM jobs JOIN payloads ON job_id = id"
            " WHERE id <> ALL(%s) ORDER BY created_at"
        )
        return self.stack.rows(query, self._known)

    def queues(self) -> set[str]:
        return {job["queue"] for job in self.jobs()}

    def loaded_sizes(self) -> list[int]:
        """The num_ctx of each load; the target's own choice is left out of its log."""
        return [load["options"].get("num_ctx", 4096) for load in self.ollama.log("load")]


NewGround = Callable[..., Ground]


@pytest.fixture(scope="module")
def new_ground(
    postgres: PostgresServer, template_url: str, new_broker_url: Callable[[str], str]
) -> Iterator[NewGround]:
    with ExitStack() as opened:

        def make(num_ctx: str = "") -> Ground:
            ollama = opened.enter_context(SimulationProcess(tokens_per_s=0, load_s=0.4))
            tap = opened.enter_context(Tap(int(ollama.url.rpartition(":")[2])))
            stack = Stack(
                database_url=postgres.create_database(template_url),
                broker_url=new_broker_url("redis"),
                targets=f"gpu={tap.url}",
                settings={"FOREMAN_NUM_CTX": num_ctx, "FOREMAN_KEEPALIVE_AFTER": "0.1"},
            )
            return Ground(opened.enter_context(stack), ollama, tap)

        yield make


@pytest.fixture(scope="module")
def shared_ground(new_ground: NewGround) -> Ground:
    return new_ground("max:8192")


@pytest.fixture
def ground(shared_ground: Ground) -> Ground:
    """With FOREMAN_NUM_CTX=max:8192."""
    shared_ground.start_over()
    return shared_ground


def test_with_one_size_for_all_no_num_ctx_makes_the_model_reload(ground: Ground) -> None:
    told = [ground.ask(options) for options in SHAPES * 2]

    assert told == ["num_ctx=8192"] * 6
    assert ground.loaded_sizes() == [8192]
    assert ground.queues() == {PLAIN_QUEUE}
    stored = [json.loads(bytes(job["body"]))["options"] for job in ground.jobs()]
    assert stored == [{"num_predict": 2, "num_ctx": 8192}] * 6


def test_a_larger_num_ctx_is_sent_as_it_is_and_has_a_queue_of_its_own(ground: Ground) -> None:
    told = [ground.ask(options) for options in ({}, {"num_ctx": 16384})]

    assert told == ["num_ctx=8192", None]
    assert ground.loaded_sizes() == [8192, 16384]
    assert len(ground.queues()) == 2


def test_no_byte_but_those_of_the_num_ctx_is_changed(ground: Ground) -> None:
    assert ground.post("/api/generate", BEGIN + LARGE + END) is None
    assert ground.has_sent(BEGIN + LARGE + END)

    assert ground.post("/api/generate", BEGIN + SMALL + END) == "num_ctx=8192"
    assert ground.has_sent(BEGIN + SMALL.replace(b"10", b"8192") + END)


def test_the_change_is_told_also_when_keepalive_bytes_came_first(ground: Ground) -> None:
    with stream(ground.stack.url) as opened:
        assert opened.answer.headers["X-Foreman-Changed"] == "num_ctx=8192"
        assert opened.rest().startswith(b" ")


def test_what_is_not_queued_is_not_changed(ground: Ground) -> None:
    ground.ask({})

    unload = ground.stack.post("/api/generate", b'{"model":"chain-a","keep_alive":0}')

    assert (unload.status, "X-Foreman-Changed" in unload.headers) == (200, False)
    assert ground.has_sent(b'{"model":"chain-a","keep_alive":0}')


def test_below_v1_the_size_that_targets_give_is_the_same_residency(new_ground: NewGround) -> None:
    ground = new_ground("max:4096")  # what this target gives to a request that names none

    for options in SHAPES:
        ground.ask(options)
        assert ground.post("/v1/chat/completions", chat()) is None

    assert ground.loaded_sizes() == [4096]
    assert ground.queues() == {PLAIN_QUEUE}


def test_as_sent_each_num_ctx_is_loaded_and_no_byte_is_changed(new_ground: NewGround) -> None:
    ground = new_ground()

    told = [ground.ask(options) for options in [SHAPES[0], SHAPES[2]] * 2]

    assert told == [None] * 4
    assert ground.loaded_sizes() == [2048, 4096, 2048, 4096]
    assert ground.post("/api/generate", BEGIN + SMALL + END) is None
    assert ground.has_sent(BEGIN + SMALL + END)
