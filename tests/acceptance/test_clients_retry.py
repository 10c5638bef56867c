"""SDKs that retry by themselves come back when foreman's Retry-After says, and are served."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from foreman.simulation.process import SimulationProcess
from tests.acceptance.clients.tap import Tap
from tests.acceptance.clients.witness import CHAT, QUESTION, SAID
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

RETRIES = 5  # a slow machine may need more than one to have its worker back
RETRY_AFTER = b"\r\nRetry-After: 5\r\n"
RETRY_AFTER_S = 5.0


@pytest.fixture
def stack_without_worker(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[Stack]:
    """A foreman that has lost its only worker and knows it. What it answers is the web's alone."""
    stack = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}?slots=4",
    )
    with stack:
        stack.processes["worker1"].kill()
        wait_for(lambda: not stack.is_ready(), 20, "foreman has noticed")
        yield stack


def ask_openai(url: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=RETRIES) as client:
        answer = client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": QUESTION}]
        )
    return answer.choices[0].message.content or ""


def ask_anthropic(url: str) -> str:
    with anthropic.Anthropic(base_url=url, api_key="unused", max_retries=RETRIES) as client:
        answer = client.messages.create(
            model=CHAT, max_tokens=1024, messages=[{"role": "user", "content": QUESTION}]
        )
    return "".join(block.text for block in answer.content if block.type == "text")


def test_sdks_come_back_when_retry_after_says(stack_without_worker: Stack) -> None:
    asks = (ask_openai, ask_anthropic)
    with Tap(stack_without_worker.port) as tap, ThreadPoolExecutor(len(asks)) as threads:
        asked_at = time.monotonic()
        answers = [threads.submit(ask, tap.url) for ask in asks]
        wait_for(lambda: tap.received.count(RETRY_AFTER) >= len(asks), what="both are refused")
        stack_without_worker.start_worker("worker2")
        assert [answer.result(timeout=40) for answer in answers] == [SAID, SAID]
        waits = tap.received.count(RETRY_AFTER) / len(asks)
    assert time.monotonic() - asked_at >= waits * RETRY_AFTER_S
