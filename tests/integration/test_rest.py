"""A target does not rest while foreman writes down what it has done, nor swaps in vain."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from tests.client import Background, chat, hold
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.integration.runs.ground import ENDED, Jobs
from tests.stack import Stack, wait_for


@contextmanager
def locked(stack: Stack, job_id: str) -> Iterator[None]:
    """Nobody can write the job's row before the end of the block."""
    with psycopg.connect(stack.database_url) as connection:
        connection.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [job_id])
        yield


@contextmanager
def paused(stack: Stack, name: str) -> Iterator[None]:
    """The process does nothing before the end of the block."""
    stack.processes[name].signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.processes[name].signal(signal.SIGCONT)


@ON_ONE_BROKER
def test_the_next_job_starts_while_the_end_of_the_last_one_is_recorded(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=10, slots=1)
    stack = new_stack(ollama, slots=1)
    hold(ollama)
    first = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    second = Background(stack.url)
    wait_for(lambda: len(stack.jobs()) == 2)

    with locked(stack, stack.jobs()[0]["id"]):
        ollama.end_faults()
        answers = [first.result(), second.result()]

        assert [status for status, _ in answers] == [200, 200]
        assert stack.jobs()[0]["state"] == "working"
    wait_for(lambda: [job["state"] for job in stack.jobs()] == ["succeeded"] * 2)
    starts = [(each["start"], each["end"]) for each in ollama.log("generation")]
    assert starts[1][0] >= starts[0][1]  # one slot: never both at once


@pytest.mark.alone
def test_a_message_that_is_late_does_not_end_the_visit_of_its_job(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=20, slots=1, max_loaded=1)
    stack = new_stack(ollama, slots=1)
    hold(ollama)
    first = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    other = Background(stack.url, body=chat("chain-b"))
    wait_for(lambda: len(stack.jobs()) == 2)
    jobs = Jobs(stack)
    with closing(jobs.database), paused(stack, "relay"):
        late = jobs.submit()  # its message is the relay's
        ollama.end_faults()
        assert first.result()[0] == 200

    assert other.result()[0] == 200
    wait_for(lambda: stack.job(late)["state"] == "succeeded")
    assert [each["model"] for each in ollama.log("load")] == ["chain-a", "chain-b"]


def test_a_queue_left_out_as_empty_keeps_its_visit_once_a_message_of_it_has_come(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=20, slots=1, max_loaded=1)
    stack = new_stack(ollama, slots=1)
    assert stack.post("/api/chat", chat(stream=False)).status == 200
    jobs = Jobs(stack)
    with closing(jobs.database):
        with paused(stack, "relay"):
            late = [jobs.submit(), jobs.submit()]
            wait_for(lambda: "no message of them" in stack.processes["worker1"].log_text())
        jobs.wait(late[0], "working", *ENDED)
        other = Background(stack.url, body=chat("chain-b"))

        assert other.result()[0] == 200
        assert [jobs.wait(each)["state"] for each in late] == ["succeeded"] * 2
    assert [each["model"] for each in ollama.log("load")] == ["chain-a", "chain-b"]
