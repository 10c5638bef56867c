"""What a client sees, and what is kept, when a process dies."""

import json
import signal

from tests.client import Background, chat, stream
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import wait_for


def test_a_job_whose_worker_died_before_the_first_byte_is_served_by_the_next(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=200)
    stack = new_stack(ollama, workers=2)
    ollama.fault("stall_before", times=1)
    waiting = Background(stack.url)
    wait_for(lambda: ollama.state()["generating"].get("chain-a"))

    stack.processes[_busy_worker(stack.jobs()[0])].kill()

    status, body = waiting.result()
    assert status == 200
    assert json.loads(body.splitlines()[-1])["done"] is True
    wait_for(lambda: stack.jobs()[0]["state"] == "succeeded")
    assert stack.jobs()[0]["fence"] == 2


@ON_ONE_BROKER
def test_a_stream_whose_worker_died_ends_with_an_error_line(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=400)
    stack = new_stack(ollama, workers=2)
    with stream(stack.url) as opened:
        assert json.loads(opened.read_line())["done"] is False
        wait_for(lambda: stack.jobs()[0]["answering_at"])

        stack.processes[_busy_worker(stack.jobs()[0])].kill()

        lines = opened.rest().splitlines()
    assert "worker" in json.loads(lines[-1])["error"]
    assert stack.jobs()[0]["state"] == "failed"
    assert stack.jobs()[0]["error_code"] == "worker_lost"


@ON_ONE_BROKER
def test_a_stream_is_not_run_again_even_when_the_note_of_its_first_byte_is_late(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=400)
    stack = new_stack(ollama, workers=2)
    with stream(stack.url) as opened:
        opened.read_line()
        worker = _busy_worker(stack.jobs()[0])
        stack.processes[worker].signal(signal.SIGSTOP)
        stack.rows("UPDATE jobs SET answering_at = NULL RETURNING id")

        lines = opened.rest().splitlines()
        stack.processes[worker].signal(signal.SIGCONT)

    assert "error" in json.loads(lines[-1])
    wait_for(lambda: stack.jobs()[0]["state"] in ("cancelled", "failed"))


def test_jobs_of_a_dead_web_process_are_cancelled_and_their_generations_stop(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=2000, slots=1)
    stack = new_stack(ollama, slots=1)
    Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    Background(stack.url)
    wait_for(lambda: len(stack.jobs()) == 2)

    stack.processes["web"].kill()

    wait_for(lambda: [job["state"] for job in stack.jobs()] == ["cancelled"] * 2, 20)
    # Until the process is known to be dead, the second job may begin in the first one's place.
    wait_for(lambda: not ollama.state()["generating"].get("chain-a"))
    assert {each["ended"] for each in ollama.log("generation")} == {"client_gone"}


def test_a_worker_that_stops_gives_back_what_did_not_answer_yet(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=200)
    stack = new_stack(ollama, workers=2, settings={"FOREMAN_SHUTDOWN_S": "1"})
    ollama.fault("stall_before", times=1)
    waiting = Background(stack.url)
    wait_for(lambda: ollama.state()["generating"].get("chain-a"))

    stack.processes[_busy_worker(stack.jobs()[0])].stop()

    assert waiting.result()[0] == 200
    reasons = [row["reason"] for row in stack.rows("SELECT reason FROM events ORDER BY seq")]
    assert "shutting_down" in reasons


def test_a_worker_that_stops_lets_a_running_stream_end(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=40)
    stack = new_stack(ollama)
    with stream(stack.url) as opened:
        opened.read_line()

        stack.processes["worker1"].stop()

        assert json.loads(opened.rest().splitlines()[-1])["done"] is True
    assert stack.rows("SELECT lease_until FROM targets")[0]["lease_until"] is None


@ON_ONE_BROKER
def test_a_stream_that_outlasts_the_stop_of_its_worker_ends_with_an_error_line(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=2000)
    stack = new_stack(ollama, settings={"FOREMAN_SHUTDOWN_S": "1"})
    with stream(stack.url) as opened:
        opened.read_line()

        stack.processes["worker1"].stop()

        assert "shutting down" in json.loads(opened.rest().splitlines()[-1])["error"]


@ON_ONE_BROKER
def test_a_stopping_web_process_ends_its_streams_with_an_error_line(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=2000)
    stack = new_stack(ollama, settings={"FOREMAN_SHUTDOWN_S": "1"})
    with stream(stack.url) as opened:
        opened.read_line()

        stack.processes["web"].stop()

        assert "shutting down" in json.loads(opened.rest().splitlines()[-1])["error"]
    wait_for(lambda: [each["ended"] for each in ollama.log("generation")] == ["client_gone"])


def test_messages_that_the_broker_lost_are_sent_again(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=200)
    stack = new_stack(ollama)
    stack.processes["worker1"].kill()
    waiting = Background(stack.url, body=chat(stream=False))
    queue = wait_for(stack.jobs)[0]["queue"]
    stack.run("-m", "celery", "-A", "celery_app", "purge", "-f", "-Q", queue)
    stack.rows("UPDATE jobs SET published_at = now() - interval '1 hour' RETURNING id")

    stack.start_worker("worker2")

    assert waiting.result(40)[0] == 200


def _busy_worker(job: dict[str, str]) -> str:
    """The stack's name of the process that runs a job."""
    return job["worker"].split("@")[0]
