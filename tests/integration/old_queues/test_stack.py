"""A whole foreman that removes what nobody uses, as fast as it can, under requests and kills."""

from typing import Any

from kombu import Connection

from foreman.core.queues import residency_of
from tests.client import Background, chat
from tests.integration.conftest import NewOllama, NewStack
from tests.integration.old_queues.ground import has_queue
from tests.stack import Stack, wait_for

AT_ONCE = {"FOREMAN_RETENTION_DAYS": "0.00000001", "FOREMAN_RETENTION_EVERY": "0.05"}
SIZES = [2048, 3072, 4096, 5120]


def sized(num_ctx: int) -> dict[str, Any]:
    """A short chat in a residency of its own."""
    return chat(options={"num_ctx": num_ctx, "num_predict": 1}, stream=False)


def count(stack: Stack, table: str) -> int:
    return int(stack.rows(f"SELECT count(*) FROM {table}")[0]["count"])


def test_a_residency_that_nobody_uses_leaves_nothing_and_can_be_used_again(
    new_stack: NewStack, new_ollama: NewOllama, broker_url: str
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=0, load_s=0.01), settings=AT_ONCE)
    for _ in range(2):
        answer = stack.post("/api/chat", sized(2048))
        assert answer.status == 200
        # Another visit, so that it is not loaded any more.
        assert stack.post("/api/chat", chat("chain-b", stream=False)).status == 200

        wait_for(lambda: count(stack, "jobs") == 0, 20)
        wait_for(lambda: count(stack, "residency_costs") <= 1, 20)
        wait_for(lambda: count(stack, "old_queues") <= 1, 20)
        queue = residency_of("chain-a:latest", {"num_ctx": 2048}).queue
        with Connection(broker_url) as connection:
            assert not has_queue(connection, queue)


def test_no_job_is_lost_while_its_queue_is_removed_and_the_relay_is_killed(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=0, load_s=0.01), settings=AT_ONCE)
    answers = []
    for number in range(40):
        answers.append(Background(stack.url, body=sized(SIZES[number % len(SIZES)])))
        if number % 4 == 3:
            assert [each.result()[0] for each in answers[-4:]] == [200] * 4
        if number % 12 == 11:
            stack.processes["relay"].kill()
            stack.processes["relay"].start()

    wait_for(lambda: count(stack, "jobs") == 0, 30)
