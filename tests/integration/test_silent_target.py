"""A target that accepts connections and never answers: it costs nobody else anything."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.client import chat, stream
from tests.fakes.silent import silent_server
from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Answer, Stack, wait_for

MISS_EVERY_S = 0.5


@pytest.fixture
def broker_url(new_broker_url: Callable[[str], str]) -> str:
    """One broker is enough: nothing here is about it."""
    return new_broker_url("redis")


@contextmanager
def misses(stack: Stack) -> Iterator[list[Answer]]:
    """Requests for a model that nobody has, one after the other begins; their answers so far."""
    answers: list[Answer] = []
    ends = threading.Event()
    threads: list[threading.Thread] = []

    def ask() -> None:
        answers.append(stack.post("/api/chat", chat("unknown", stream=False), timeout_s=60))

    def keep_asking() -> None:
        while not ends.wait(MISS_EVERY_S):
            threads.append(threading.Thread(target=ask))
            threads[-1].start()

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        yield answers
    finally:
        ends.set()
        asking.join()
        for thread in threads:
            thread.join()


def test_requests_for_an_unknown_model_end_no_stream_while_one_target_hangs(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=300)
    with silent_server() as silent:
        stack = new_stack(ollama, targets=f"gpu1={ollama.url}?slots=2,hangs={silent}")
        with misses(stack) as answers, stream(stack.url) as opened:
            lines = [json.loads(line) for line in opened.rest().splitlines()]

    assert lines[-1]["done"] is True, lines[-1]
    wait_for(lambda: [each["state"] for each in stack.jobs()] == ["succeeded"])
    # Nobody knows what the silent target has: the model may be there.
    assert {answer.status for answer in answers} == {503}
    assert "hangs" in answers[0].lines[0]["error"]
    assert answers[0].headers["Retry-After"]
    assert len(ollama.log("generation")) == 1


def test_a_silent_target_delays_neither_the_start_nor_a_request_for_a_known_model(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=3)
    with silent_server() as silent:
        stack = new_stack(ollama, targets=f"gpu1={ollama.url}?slots=2,hangs={silent}")
        with misses(stack) as answers:
            wait_for(lambda: len(answers) >= 3, 40)
            for _ in range(5):
                # A busy machine may make the other target late with its list, too: then 503.
                wait_for(lambda: stack.post("/api/chat", chat()).status == 200, 40)

    assert len(stack.jobs()) == 5
