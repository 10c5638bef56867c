"""An Ollama that holds one model, which nobody has said, and an embedding model in use on it."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.client import chat
from tests.integration.conftest import NewOllama, NewStack

MODELS = "chat-a=4GiB,chat-b=4GiB,an-embed=1GiB;caps=embedding"
EMBED = {"model": "an-embed", "input": "sky"}
ROUNDS = 5
LIMIT_S = 120.0


@pytest.fixture
def broker_url(new_broker_url: Callable[[str], str]) -> str:
    """One broker is enough: nothing here is about it."""
    return new_broker_url("redis")


def test_a_kept_embedding_model_holds_up_no_other_client(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(models=MODELS, max_loaded=1, tokens=20)
    stack = new_stack(ollama, targets=f"gpu1={ollama.url}?slots=2")
    assert stack.post("/api/embed", EMBED).status == 200
    took_s: dict[str, list[float]] = {"chat-a": [], "chat-b": []}
    statuses: set[int] = set()

    def keep_chatting(model: str) -> None:
        for _ in range(ROUNDS):
            began_at = time.monotonic()
            body = chat(model, stream=False)
            statuses.add(stack.post("/api/chat", body, timeout_s=LIMIT_S).status)
            took_s[model].append(time.monotonic() - began_at)

    clients = [threading.Thread(target=keep_chatting, args=(model,)) for model in took_s]
    for each in clients:
        each.start()
    while any(each.is_alive() for each in clients):
        statuses.add(stack.post("/api/embed", EMBED, timeout_s=LIMIT_S).status)
    for each in clients:
        each.join()

    assert statuses == {200}
    # A chat takes 1 s, and a load 0.2 s.
    assert max(map(max, took_s.values())) < LIMIT_S / 2, took_s
