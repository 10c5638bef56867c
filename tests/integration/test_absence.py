"""A target that is away for a moment: its requests wait for it, and not for longer."""

import json
import time
from collections.abc import Callable

import pytest

from foreman.embedded.probe import free_port
from tests.client import Background, chat
from tests.integration.conftest import NewOllama, NewStack
from tests.stack import wait_for

GRACE_S = 4.0
KEEPALIVES = {"FOREMAN_KEEPALIVE_AFTER": "0.5", "FOREMAN_KEEPALIVE_EVERY": "0.5"}


@pytest.fixture
def broker_url(new_broker_url: Callable[[str], str]) -> str:
    """One broker is enough: nothing here is about it."""
    return new_broker_url("redis")


def test_a_request_waits_for_a_target_that_comes_back(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=3, port=free_port())
    stack = new_stack(ollama, settings={"FOREMAN_ABSENCE_GRACE": "60"})
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    ollama.stop()
    wait_for(lambda: not stack.is_ready(), 30)

    waiting = Background(stack.url, body=chat(stream=False))
    wait_for(lambda: len(stack.jobs()) == 2, 20, "the request was accepted")
    ollama.start()

    status, body = waiting.result()
    assert (status, json.loads(body)["done"]) == (200, True)


def test_a_request_ends_with_the_reason_when_its_target_stays_away(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=3)
    settings = {"FOREMAN_ABSENCE_GRACE": str(GRACE_S), **KEEPALIVES}
    stack = new_stack(ollama, settings=settings)
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    ollama.stop()
    stopped_at = time.monotonic()
    wait_for(lambda: not stack.is_ready(), 30)

    whole = Background(stack.url, body=chat(stream=False))
    streamed = Background(stack.url, body=chat())
    answers = [whole.result(), streamed.result()]

    assert time.monotonic() - stopped_at >= GRACE_S
    assert [status for status, _ in answers] == [503, 200]
    for _, body in answers:
        assert "target gpu1 does not accept connections" in json.loads(body)["error"]
    assert answers[1][1].startswith(b" ")  # keep-alive bytes came first
    ended = [(each["state"], each["error_code"]) for each in stack.jobs()[1:]]
    assert ended == [("expired", "no_live_target")] * 2
    # By now it has been away for too long: nobody waits for it any more.
    jobs = len(stack.jobs())
    assert stack.post("/api/chat", chat(stream=False)).status == 503
    assert len(stack.jobs()) == jobs
