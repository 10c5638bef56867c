"""A target does not rest while foreman writes down what it has done."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.client import Background
from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Stack, wait_for


@contextmanager
def locked(stack: Stack, job_id: str) -> Iterator[None]:
    """Nobody can write the job's row before the end of the block."""
    with psycopg.connect(stack.database_url) as connection:
        connection.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [job_id])
        yield


def test_the_next_job_starts_while_the_end_of_the_last_one_is_recorded(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=10, slots=1)
    stack = new_stack(ollama, slots=1)
    first = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    second = Background(stack.url)
    wait_for(lambda: len(stack.jobs()) == 2)

    with locked(stack, stack.jobs()[0]["id"]):
        answers = [first.result(), second.result()]

        assert [status for status, _ in answers] == [200, 200]
        assert stack.jobs()[0]["state"] == "working"
    wait_for(lambda: [job["state"] for job in stack.jobs()] == ["succeeded"] * 2)
    starts = [(each["start"], each["end"]) for each in ollama.log("generation")]
    assert starts[1][0] >= starts[0][1]  # one slot: never both at once
