"""Celery's own controls on real brokers: what they say is what happens."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from celery.worker.control import Panel

from foreman.adapters import broker as brokers
from foreman.adapters.broker import RUN_JOB, model_queue
from foreman.adapters.undecodable import UNDECODABLE
from foreman.config import from_env
from foreman.ids import new_id
from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold, stream
from tests.integration.controls.conftest import QUEUES, ScriptedStack
from tests.servers import RabbitServer, ValkeyServer
from tests.stack import wait_for

FIRST, BATCH, SECOND = QUEUES.split(",")
SHORT: dict[str, Any] = {"stream": False, "options": {"num_predict": 2}}


@pytest.fixture(autouse=True)
def as_it_was(stack: ScriptedStack, ollama: SimulationProcess) -> Iterator[None]:
    yield
    ollama.end_faults()
    for queue in (FIRST, SECOND):
        stack.control("add_consumer", queue=queue)


def drain(stack: ScriptedStack) -> dict[str, Any]:
    shown: dict[str, Any] = stack.control("drain")
    return shown


def queues(stack: ScriptedStack) -> list[str]:
    return [queue["name"] for queue in stack.control("active_queues")]


def waits(stack: ScriptedStack, model: str = "chain-a:latest") -> str:
    """The id of the one job of a model that waits, once it does."""
    query = "SELECT id FROM jobs WHERE model = %s AND state = 'queued'"
    rows = wait_for(lambda: stack.rows(query, model), what="a job waits")
    assert len(rows) == 1
    return str(rows[0]["id"])


def pause(stack: ScriptedStack, queue: str = FIRST) -> None:
    assert "ok" in stack.control("cancel_consumer", queue=queue)
    wait_for(lambda: queue in drain(stack)["refused"])


def send(stack: ScriptedStack, task: str, argument: str, *, queue: Any) -> None:
    """Send a task as anybody could who reaches the broker."""
    app = brokers.make_celery(from_env(stack.env))
    app.send_task(task, args=[argument], queue=queue)
    app.close()


# Queues


@pytest.mark.parametrize("queue", [FIRST, BATCH])
def test_a_model_queue_is_paused_and_resumed_on_this_target(
    stack: ScriptedStack, queue: str
) -> None:
    assert stack.control("cancel_consumer", queue=queue) == {
        "ok": f"target gpu takes no more jobs of {FIRST}"
    }
    wait_for(lambda: drain(stack)["refused"] == [FIRST])
    assert FIRST not in queues(stack)

    waiting = Background(stack.url, body=chat(**SHORT))
    waits(stack)
    assert stack.post("/api/chat", chat("chain-b", **SHORT)).status == 200
    assert waiting.is_waiting

    assert stack.control("add_consumer", queue=queue) == {"ok": f"target gpu takes jobs of {FIRST}"}
    assert waiting.result()[0] == 200
    assert (drain(stack)["refused"], FIRST in queues(stack)) == ([], True)


def test_a_pause_outlives_a_lost_connection_to_the_broker(
    stack: ScriptedStack, broker_kind: str, request: pytest.FixtureRequest
) -> None:
    pause(stack)
    server: Any = request.getfixturevalue("valkey" if broker_kind == "redis" else "rabbitmq")
    cut(server)
    for lost in ("consumer: Connection to broker lost", "broker connection lost"):
        wait_for(partial(stack.has_logged, lost), 30)

    waiting = Background(stack.url, body=chat(**SHORT))
    waits(stack)
    wait_for(lambda: stack.post("/api/chat", chat("chain-b", **SHORT)).status == 200, 60)
    assert waiting.is_waiting
    assert drain(stack)["refused"] == [FIRST]

    stack.control("add_consumer", queue=FIRST)
    assert waiting.result()[0] == 200


def cut(server: ValkeyServer | RabbitServer) -> None:
    """End all connections of the broker."""
    if isinstance(server, RabbitServer):
        server.ctl("close_all_connections", "--global", "a test")
    else:
        assert server.ask("CLIENT KILL TYPE normal SKIPME yes").startswith(":")
        assert server.ask("CLIENT KILL TYPE pubsub").startswith(":")


def test_a_queue_of_somebody_elses_is_consumed_and_left_as_celery_does(
    stack: ScriptedStack,
) -> None:
    assert "ok" in stack.control("add_consumer", queue="theirs")
    wait_for(lambda: "theirs" in queues(stack))

    assert "ok" in stack.control("cancel_consumer", queue="theirs")
    wait_for(lambda: "theirs" not in queues(stack))


@pytest.mark.parametrize("queue", [UNDECODABLE, "foreman.reply.x"])
def test_nobody_consumes_what_is_foremans_own(stack: ScriptedStack, queue: str) -> None:
    assert "error" in stack.control("add_consumer", queue=queue)
    assert queue not in queues(stack)


# Jobs


def test_a_waiting_job_is_revoked_and_its_client_told(stack: ScriptedStack) -> None:
    pause(stack)
    waiting = Background(stack.url, body=chat(**SHORT))
    job_id = waits(stack)

    for _ in range(2):  # again it does no harm
        assert stack.control("revoke", task_id=job_id) == {"ok": f"job {job_id} is cancelled"}

    assert waiting.result()[0] == 499
    assert stack.job(job_id)["state"] == "cancelled"
    stack.control("add_consumer", queue=FIRST)
    assert stack.post("/api/chat", chat(**SHORT)).status == 200  # its message holds up nobody
    assert stack.job(job_id)["attempt"] == 0


@pytest.mark.parametrize(
    "revoke",
    [
        lambda stack, job_id: stack.control("revoke", task_id=[job_id]),
        lambda stack, job_id: stack.control(
            "revoke", task_id=job_id, terminate=True, signal="SIGKILL"
        ),
        lambda stack, job_id: stack.control("terminate", signal="SIGTERM", task_id=[job_id]),
    ],
)
def test_a_running_job_is_revoked_and_its_target_hung_up_on(
    stack: ScriptedStack,
    ollama: SimulationProcess,
    revoke: Callable[[ScriptedStack, str], Any],
) -> None:
    hold(ollama)
    with stream(stack.url) as opened:
        opened.read_line()
        job_id = opened.job_id
        assert [task["id"] for task in stack.control("active")] == [job_id]
        assert drain(stack)["running"] == [job_id]

        assert revoke(stack, job_id) == {"ok": f"job {job_id} is cancelled"}

        wait_for(lambda: stack.job(job_id)["state"] == "cancelled")
        assert b"error" in opened.rest()
    wait_for(lambda: drain(stack)["running"] == [])
    assert stack.control("revoked") == []


def test_what_cannot_be_revoked_is_said(stack: ScriptedStack) -> None:
    assert stack.post("/api/chat", chat(**SHORT)).status == 200
    ended = str(wait_for(stack.jobs)[-1]["id"])
    wait_for(lambda: stack.job(ended)["state"] == "succeeded")
    unknown = str(new_id())

    assert stack.control("revoke", task_id=[ended, unknown, "no id"]) == {
        "error": f"job {ended}: the job is succeeded and stays so; "
        f"job {unknown}: there is no job {unknown}; no id is no id of a job"
    }
    assert stack.control("revoke", task_id=[]) == {"error": "no id was given"}


def test_a_task_that_came_by_no_queue_of_foremans_loses_no_job(stack: ScriptedStack) -> None:
    pause(stack)
    waiting = Background(stack.url, body=chat(**SHORT))
    job_id = waits(stack)
    with brokers.connect(from_env(stack.env)) as connection:
        model_queue(FIRST)(connection.channel()).purge()  # as a plain consumer would have taken it
    send(stack, RUN_JOB, job_id, queue="foreman.default")
    send(stack, RUN_JOB, "no id", queue="foreman.default")

    stack.control("add_consumer", queue=FIRST)

    assert waiting.result()[0] == 200
    assert stack.has_logged("task came by no queue")


def test_celery_call_creates_no_job_and_says_what_does(stack: ScriptedStack) -> None:
    """As `celery call foreman.generate` sends it, without arguments or with a prompt."""
    stack.run("-m", "celery", "-A", "celery_app", "call", RUN_JOB)
    before = stack.processes["worker1"].log_text().count("POST /jobs")
    stack.run("-m", "celery", "-A", "celery_app", "call", RUN_JOB, "-a", '[{"prompt": "secret"}]')

    wait_for(lambda: stack.processes["worker1"].log_text().count("POST /jobs") > before)

    assert not stack.has_logged("secret")
    assert not stack.has_logged("Traceback")


def test_a_message_that_is_no_jobs_is_counted_and_holds_up_nobody(stack: ScriptedStack) -> None:
    before = drain(stack)["undecodable"]
    send(stack, "celery.chord", "x", queue=model_queue(FIRST))

    assert stack.post("/api/chat", chat(**SHORT)).status == 200
    assert drain(stack)["undecodable"] == before + 1
    with brokers.connect(from_env(stack.env)) as connection:
        wait_for(lambda: brokers.queue_length(connection, UNDECODABLE) == before + 1)


# All of them

# What a command needs, where it needs anything.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "election": {"id": "1", "topic": "x"},
    "hello": {"from_node": "other@test"},
    "query_task": {"ids": ["x"]},
    "rate_limit": {"task_name": RUN_JOB, "rate_limit": "1/s"},
    "revoke_by_stamped_headers": {"headers": {"x": "y"}},
    "time_limit": {"task_name": RUN_JOB, "soft": 1.0, "hard": 1.0},
    "autoscale": {"max": 3, "min": 1},
}
SHOWS = {
    "active", "active_queues", "clock", "conf", "dump_active", "dump_conf", "dump_reserved",
    "dump_revoked", "dump_schedule", "dump_tasks", "hello", "query_task", "registered", "reserved",
    "revoked", "scheduled", "stats", "drain", "memdump", "memsample",
}  # fmt: skip
# They change nothing of what is taken, or are tested above.
DOES = {"ping", "report", "enable_events", "disable_events", "foreman_cancel", "foreman_taken"}
DOES |= {"add_consumer", "cancel_consumer", "revoke", "terminate", "shutdown"}
SILENT = {"heartbeat"}  # it answers with nothing
REFUSES = {
    "autoscale", "election", "objgraph", "pool_grow", "pool_restart", "pool_shrink", "rate_limit",
    "revoke_by_stamped_headers", "time_limit",
}  # fmt: skip


def test_no_command_of_celerys_is_left_out() -> None:
    commands = SHOWS | DOES | SILENT | REFUSES

    assert set(Panel.data) - commands == set()


@pytest.mark.parametrize("command", sorted(SHOWS))
def test_what_shows_something_answers_without_an_error(stack: ScriptedStack, command: str) -> None:
    answer = stack.control(command, **ARGUMENTS.get(command, {}))

    assert not (isinstance(answer, dict) and "error" in answer)


@pytest.mark.parametrize("command", sorted(REFUSES))
def test_what_is_refused_says_why_and_changes_nothing(stack: ScriptedStack, command: str) -> None:
    answer = stack.control(command, **ARGUMENTS.get(command, {}))

    assert set(answer) == {"error"}
    assert answer["error"]
    assert stack.post("/api/chat", chat(**SHORT)).status == 200


def test_events_are_switched_off_and_on(stack: ScriptedStack) -> None:
    assert stack.control("disable_events") == {"ok": "task events disabled"}
    assert stack.post("/api/chat", chat(**SHORT)).status == 200
    assert stack.control("enable_events") == {"ok": "task events enabled"}
    assert stack.control("enable_events") == {"ok": "task events already enabled"}


def test_a_heartbeat_is_asked_for_and_not_answered(stack: ScriptedStack) -> None:
    assert stack.control("heartbeat") is None


def test_a_worker_answers_a_ping_and_reports_of_itself(stack: ScriptedStack) -> None:
    assert stack.control("ping") == {"ok": "pong"}
    assert "software -> celery" in stack.control("report")["ok"]


def test_a_purge_empties_celerys_own_queue_and_takes_no_job(stack: ScriptedStack) -> None:
    pause(stack)
    waiting = Background(stack.url, body=chat(**SHORT))
    waits(stack)
    with brokers.connect(from_env(stack.env)) as connection:
        wait_for(lambda: brokers.queue_length(connection, FIRST) == 1, what="its message waits")
        app = brokers.make_celery(from_env(stack.env))
        app.control.purge()
        app.close()

        assert brokers.queue_length(connection, FIRST) == 1
    stack.control("add_consumer", queue=FIRST)
    assert waiting.result()[0] == 200


# The end


def test_a_job_queue_that_q_names_is_served_by_foreman_itself_and_shutdown_gives_all_back(
    stack: ScriptedStack, ollama: SimulationProcess
) -> None:
    stack.processes["worker1"].stop()
    stack.wait_for_targets(0)
    stack.start_worker("worker1", "-Q", f"foreman.default,{FIRST}")
    stack.wait_for_targets(1)
    assert stack.post("/api/chat", chat(**SHORT)).status == 200
    assert stack.has_logged("queue is served by foreman itself")
    assert queues(stack).count(FIRST) == 1

    hold(ollama)
    opened = Background(stack.url, body=chat(**SHORT))
    job_id = wait_for(lambda: drain(stack)["running"])[0]
    app = brokers.make_celery(from_env(stack.env))
    app.control.shutdown(destination=["worker1@test"])
    app.close()
    wait_for(lambda: not stack.processes["worker1"].is_running, 30)

    assert stack.job(job_id)["state"] == "queued"
    assert stack.rows("SELECT worker FROM targets") == [{"worker": None}]
    assert stack.processes["worker1"].process.returncode in (0, -signal.SIGTERM)
    ollama.end_faults()
    stack.start_worker("worker1")
    assert opened.result()[0] == 200
