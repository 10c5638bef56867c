"""The client and the command line against a running foreman, on both brokers."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from foreman import client as clients
from foreman.client import Client, Job
from tests.client import chat
from tests.stack import ROOT, Stack, WebAlone


@pytest.fixture
def client(shared_stack: Stack) -> Iterator[Client]:
    with Client(shared_stack.url, name="tests") as client:
        yield client


@pytest.fixture
def idle_client(web_alone: WebAlone) -> Iterator[Client]:
    """A client whose jobs nobody runs."""
    with Client(web_alone.url, name="tests") as client:
        yield client


def submit(client: Client, **more: object) -> Job:
    return client.submit("/api/chat", chat(options={"num_predict": 3}), **more)  # type: ignore[arg-type]  # any of them


def test_a_job_is_submitted_waited_for_and_listed(client: Client) -> None:
    seen: list[str] = []

    job = submit(client, priority="interactive", metadata={"from": "the client"})
    ended = client.wait(job.id, limit_s=30, on_progress=lambda each: seen.append(each.state))

    assert (ended.id, ended.state, ended.model) == (job.id, "succeeded", "chain-a:latest")
    assert seen[-1] == "succeeded"
    listed = client.list(limit=5, metadata={"from": "the client"}, client="tests")
    assert job.id in [each.id for each in listed]
    assert [each.state for each in client.events(job.id)] == ["queued", "working", "succeeded"]


def test_the_same_key_is_the_same_job(idle_client: Client) -> None:
    first, second = (submit(idle_client, key="client-key") for _ in range(2))

    assert first.id == second.id
    idle_client.cancel(first.id)


def test_a_job_that_does_not_end_in_time_is_handed_back(idle_client: Client) -> None:
    job = submit(idle_client, priority="batch", target="gpu")

    with pytest.raises(clients.StillRunning) as raised:
        idle_client.wait(job.id, limit_s=0)

    assert raised.value.job.id == job.id
    idle_client.cancel(job.id)


def test_a_job_without_a_result_says_how_it_ended(idle_client: Client) -> None:
    job = submit(idle_client, ttl_seconds=600)
    idle_client.cancel(job.id)

    with pytest.raises(clients.Unsuccessful) as raised:
        idle_client.result(idle_client.wait(job.id, limit_s=10).id)

    assert raised.value.job.state == "cancelled"


def test_a_cancelled_job_is_tried_again_as_a_new_one(idle_client: Client) -> None:
    job = submit(idle_client)
    idle_client.cancel(job.id)

    again = idle_client.retry(job.id)

    assert (again.retry_of, again.state) == (job.id, "queued")
    idle_client.cancel(again.id)


def test_ten_thousand_lines_need_no_reader_while_they_are_sent(web_alone: WebAlone) -> None:
    body = {"endpoint": "/api/chat", "request": chat()}

    with Client(web_alone.url) as client:
        lines = list(client.submit_many(body for _ in range(10_000)))

    assert [line.index for line in lines] == list(range(10_000))
    assert all(line.job_id and line.error is None for line in lines)


def test_a_line_that_is_refused_carries_its_error(web_alone: WebAlone) -> None:
    good = {"endpoint": "/api/chat", "request": chat()}

    with Client(web_alone.url) as client:
        lines = list(client.submit_many([good, good | {"surprise": 1}]))

    assert lines[0].error is None
    assert isinstance(lines[1].error, clients.Invalid)
    assert lines[1].error.field == "surprise"


def test_errors_are_of_one_tree(idle_client: Client) -> None:
    with pytest.raises(clients.NotFound):
        idle_client.job("01890000-0000-7000-8000-000000000001")
    with pytest.raises(clients.Invalid) as raised:
        idle_client.submit("/api/chat", {"model": "not-here"})
    assert (raised.value.code, raised.value.field) == ("model_not_found", "request.model")
    job = submit(idle_client)
    with pytest.raises(clients.Conflict):
        idle_client.retry(job.id)
    idle_client.cancel(job.id)
    with pytest.raises(clients.Unreachable):
        Client("http://127.0.0.1:9").job(job.id)
    for error in (clients.NotFound, clients.Invalid, clients.Conflict, clients.Unreachable):
        assert issubclass(error, clients.ClientError)


def test_the_client_imports_nothing_of_the_server() -> None:
    script = (
        "import sys, foreman.client;"
        "ours = {m for m in sys.modules if m.split('.')[0] in ('foreman', 'celery_app')};"
        "heavy = {'flask', 'sqlalchemy', 'psycopg', 'celery', 'gevent'} & set(sys.modules);"
        "print(sorted(m for m in ours if not m.startswith('foreman.client')), sorted(heavy))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "['foreman', 'foreman.version'] []"


def command(stack: Stack, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "foreman", *arguments],
        cwd=ROOT,
        env=stack.env | {"FOREMAN_URL": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_the_command_line_submits_waits_and_shows(shared_stack: Stack) -> None:
    given = ("--model", "chain-a", "--priority", "interactive", "--metadata", "a=b", "hi")
    done = command(shared_stack, "jobs", "submit", *given, "--json")
    job = json.loads(done.stdout)

    waited = command(shared_stack, "jobs", "wait", job["id"])

    assert "succeeded" in waited.stdout
    assert waited.stderr.splitlines()[-1].startswith("succeeded")
    shown = json.loads(command(shared_stack, "jobs", "show", job["id"]).stdout)
    assert (shown["state"], shown["metadata"]) == ("succeeded", {"a": "b"})
    listed = command(shared_stack, "jobs", "list", "--metadata", "a=b").stdout
    assert job["id"] in listed


def test_the_command_line_prints_the_secret_that_was_made(web_alone: WebAlone) -> None:
    own = "whsec_" + "A" * 32
    given = ("--model", "chain-a", "--webhook", "https://receiver.example/", "hi")

    made = command(web_alone, "jobs", "submit", *given)
    brought = command(web_alone, "jobs", "submit", "--webhook-secret", own, *given)
    alone = ("--webhook-secret", own, "--model", "chain-a", "hi")
    wrong = command(web_alone, "jobs", "submit", *alone, status=1)

    assert made.stderr.startswith("webhook secret: whsec_")
    assert "whsec_" not in made.stdout
    assert "whsec_" not in brought.stdout + brought.stderr
    assert "--webhook-secret needs --webhook" in wrong.stderr
    for done in (made, brought):
        command(web_alone, "jobs", "cancel", done.stdout.split()[0])


def test_the_command_line_cancels_and_says_what_is_wrong(web_alone: WebAlone) -> None:
    given = ("--model", "chain-a", "hi")
    job_id = command(web_alone, "jobs", "submit", *given).stdout.split()[0]

    assert "cancelled" in command(web_alone, "jobs", "cancel", job_id).stdout
    failed = command(web_alone, "jobs", "wait", job_id, status=1)
    assert "cancelled" in failed.stderr
    again = command(web_alone, "jobs", "retry", job_id, "--json").stdout
    command(web_alone, "jobs", "cancel", json.loads(again)["id"])
    wrong = command(web_alone, "jobs", "submit", "--model", "not-here", "hi", status=1)
    assert "model_not_found" in wrong.stderr
    assert "Traceback" not in wrong.stderr
