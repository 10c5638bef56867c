"""Task events, as Flower and `celery events` read them: all of them, in order."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Stack, wait_for

OF_A_TASK = ["task-received", "task-started", "task-succeeded"]


@contextmanager
def events(broker_url: str) -> Iterator[list[dict[str, Any]]]:
    """What the workers tell while the block lasts."""
    seen: list[dict[str, Any]] = []
    app = Celery(broker=broker_url, set_as_current=False)
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        # It asks the workers for a heartbeat: what it sees first is the answer.
        thread = threading.Thread(target=receiver.capture, daemon=True)
        thread.start()
        wait_for(lambda: seen, what="a worker is heard")
        yield seen
        receiver.should_stop = True
        thread.join(5)


def told(seen: list[dict[str, Any]], job_id: str) -> list[str]:
    of_it = [each for each in seen if each.get("uuid") == job_id and each["type"] != "task-sent"]
    return [each["type"] for each in sorted(of_it, key=lambda each: float(each["clock"]))]


def run_a_job(stack: Stack) -> str:
    answer = stack.post("/api/chat", {"model": "chain-a", "stream": False})
    assert answer.status == 200
    return str(stack.jobs()[-1]["id"])


def test_each_task_tells_its_beginning_and_its_end(
    new_stack: NewStack, new_ollama: NewOllama, broker_url: str
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=200))
    with events(broker_url) as seen:
        jobs = [run_a_job(stack) for _ in range(2)]

        wait_for(lambda: [told(seen, job_id) for job_id in jobs] == [OF_A_TASK] * 2)


def test_a_worker_that_stops_tells_the_end_of_its_last_task(
    new_stack: NewStack, new_ollama: NewOllama, broker_url: str
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=200))
    with events(broker_url) as seen:
        job_id = run_a_job(stack)
        stack.processes["worker1"].stop()

        wait_for(lambda: told(seen, job_id) == OF_A_TASK)
