"""No secret is shown: not by Celery's commands, nor by Flower, a log or the list of processes."""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest
from celery.worker.control import Panel
from cryptography.fernet import Fernet
from flower.urls import handlers  # type: ignore[import-untyped]  # it has no types

from foreman.adapters.broker import make_celery
from foreman.config import from_env
from foreman.embedded.probe import free_port
from foreman.simulation.process import SimulationProcess
from tests.client import chat
from tests.fakes.receiver import Receiver
from tests.servers import PostgresServer, RabbitServer, ValkeyServer
from tests.stack import Process, Stack, wait_for

pytestmark = pytest.mark.timeout(600)

WORKER = "worker1@test"
FERNET = Fernet.generate_key().decode()
MARKS = {
    "the password of the database": "database-hunter2",
    "the password of the broker": "broker-hunter2",
    "FOREMAN_SECRET_KEY": FERNET,
    "FOREMAN_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"default-hunter2-" * 2).decode(),
    "the secret of a job's webhook": "whsec_" + base64.b64encode(b"own-hunter2-----" * 2).decode(),
    "the token of a receiver": "token-hunter2",
    "the password of Flower": "flower-hunter2",
}
USER = f"admin:{MARKS['the password of Flower']}"


@dataclass
class Search:
    """What was searched, and where a mark was found."""

    searched: list[str] = field(default_factory=list)
    found: list[tuple[str, str]] = field(default_factory=list)

    def look(self, place: str, text: str) -> None:
        self.searched.append(place)
        for name, mark in MARKS.items():
            # An encoded form would be one, too; padding may be cut or escaped.
            if mark.rstrip("=") in text:
                self.found.append((place, name))


@pytest.fixture
def search() -> Search:
    return Search()


@pytest.fixture(params=["redis", "unix socket", "rabbitmq"])
def marked_broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a broker of its own that wants the marked password."""
    password = MARKS["the password of the broker"]
    if request.param == "rabbitmq":
        rabbitmq: RabbitServer = request.getfixturevalue("rabbitmq")
        name = f"marked-{uuid.uuid4().hex[:8]}"
        rabbitmq.ctl("add_user", name, password)
        rabbitmq.ctl("add_vhost", name)
        rabbitmq.ctl("set_permissions", "-p", name, name, ".*", ".*", ".*")
        yield f"amqp://{name}:{password}@127.0.0.1:{rabbitmq.port}/{name}"
        return
    server = ValkeyServer()
    server.ask(f"CONFIG SET requirepass {password}")
    on_socket = request.param == "unix socket"
    yield (
        f"redis+socket://:{password}@{server.socket}"
        if on_socket
        else f"redis://:{password}@127.0.0.1:{server.port}/0"
    )
    server.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def unstarted(
    postgres: PostgresServer,
    template_url: str,
    marked_broker: str,
    simulation: SimulationProcess,
    receiver: Receiver,
) -> Stack:
    """A foreman whose environment holds every mark, and none of its processes yet."""
    password = MARKS["the password of the database"]
    url = postgres.create_database(template_url).replace("foreman@", f"foreman:{password}@")
    token = MARKS["the token of a receiver"]
    return Stack(
        database_url=url,
        broker_url=marked_broker,
        targets=f"gpu={simulation.url}?slots=4",
        settings={
            "FOREMAN_SECRET_KEY": FERNET,
            "FOREMAN_WEBHOOK_SECRET": MARKS["FOREMAN_WEBHOOK_SECRET"],
            "FOREMAN_WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/default?token={token}",
            "FOREMAN_WEBHOOK_ALLOW": f"127.0.0.1:{receiver.port}",
            "FOREMAN_LOG_LEVEL": "DEBUG",
            "FLOWER_BASIC_AUTH": USER,
            "FLOWER_PORT": str(free_port()),
        },
        may_be_warm=False,  # the arguments of the processes are looked at, too
    )


@pytest.fixture
def marked(unstarted: Stack) -> Iterator[Stack]:
    """All of its processes, and Flower."""
    with unstarted as stack:
        stack.start("flower", "-m", "celery", "-A", "celery_app", "flower", "--address=127.0.0.1")
        wait_for(lambda: flower(stack, "/healthcheck")[0] == 200, 120, "Flower answers")
        yield stack


def flower(stack: Stack, path: str) -> tuple[int, str]:
    """Status and text of one of Flower's pages; 0 while it does not answer."""
    connection = HTTPConnection("127.0.0.1", int(stack.env["FLOWER_PORT"]), timeout=30)
    basic = base64.b64encode(USER.encode()).decode()
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {basic}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except OSError:
        return 0, ""
    finally:
        connection.close()


def has_logged(process: Process, message: str) -> bool:
    return message in process.log_text()


def run_a_job(stack: Stack, receiver: Receiver) -> str:
    """Run a job with a webhook of its own and one with the default, to their ends."""
    secret = MARKS["the secret of a job's webhook"]
    request = {"endpoint": "/api/chat", "request": chat()}
    own = {"webhook": {"url": receiver.url, "secret": secret}}
    answers = [stack.post("/jobs", request | more) for more in (own, {})]
    assert [each.status for each in answers] == [202, 202]
    receiver.wait(6, limit_s=120)
    return str(json.loads(answers[0].body)["id"])


def search_inspect(stack: Stack, search: Search, job_id: str) -> None:
    """Every command of `celery inspect`, as its worker answers it."""
    app = make_celery(from_env(stack.env))
    arguments: dict[str, dict[str, Any]] = {
        "conf": {"with_defaults": True},
        "query_task": {"ids": [job_id]},
        "registered": {"taskinfoitems": ["app", "name", "run", "request"]},
        "hello": {"from_node": "nobody@test"},
    }
    commands = {name for name, meta in Panel.meta.items() if meta.type == "inspect"} | {"drain"}
    for name in sorted(commands):
        replies = app.control.broadcast(
            name, arguments.get(name, {}), destination=[WORKER], reply=True, timeout=60, limit=1
        )
        assert replies, f"no answer to {name}"
        search.look(f"inspect {name}", json.dumps(replies))
    for command in (["inspect", "-d", WORKER, "conf"], ["report"]):
        search.look(f"celery {command}", stack.run("-m", "celery", "-A", "celery_app", *command))


def search_flower(stack: Stack, search: Search, job_id: str) -> None:
    """Every route of Flower, for the worker and for the job."""
    wait_for(lambda: WORKER in flower(stack, "/api/workers?refresh=1")[1], 120, "the worker shows")
    wait_for(lambda: flower(stack, f"/api/task/info/{job_id}")[0] == 200, 120, "the task shows")
    order = "order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
    filled = {
        path.replace("(.+)", name).replace("(.*)", name).replace(".*", "nothing")
        for path in flower_routes()
        for name in (WORKER, job_id)
    } | {
        "/api/workers?refresh=1",
        f"/api/workers?workername={WORKER}",
        f"/tasks/datatable?draw=1&start=0&length=9&search[value]=&{order}",
    }
    shown = {path: flower(stack, path) for path in sorted(filled)}
    assert {path for path, (status, _) in shown.items() if status == 200} >= {
        "/", "/workers", f"/worker/{WORKER}", f"/task/{job_id}", "/tasks", "/broker", "/api/tasks",
        "/api/workers?refresh=1", "/api/queues/length", f"/api/task/info/{job_id}", "/metrics",
    }  # fmt: skip
    for path, (_, text) in shown.items():
        search.look(f"flower {path}", text)


def flower_routes() -> set[str]:
    """Flower's own table, as regular expressions; its static files left out."""
    patterns = [getattr(each, "regex", None) or re.compile(each[0]) for each in handlers]
    routes = {each.pattern.removesuffix("$").replace("/?", "") for each in patterns}
    return {each for each in routes if "static" not in each}


def search_processes(stack: Stack, search: Search) -> None:
    """What the processes wrote, and how they show in the list of processes."""
    for name, process in stack.processes.items():
        search.look(f"log of {name}", process.log_text())
        main = psutil.Process(process.process.pid)
        for each in (main, *main.children(recursive=True)):
            search.look(f"arguments of {name}", " ".join([each.name(), *each.cmdline()]))


def search_api(stack: Stack, search: Search, job_id: str) -> None:
    paths = ["/readyz", "/queues", "/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/events",
             f"/jobs/{job_id}/deliveries", "/deliveries", "/swaps", "/openapi.json"]  # fmt: skip
    for path in paths:
        search.look(f"GET {path}", stack.get(path).body.decode())


def test_no_secret_is_shown_anywhere(marked: Stack, receiver: Receiver, search: Search) -> None:
    job_id = run_a_job(marked, receiver)

    search_inspect(marked, search, job_id)
    search_flower(marked, search, job_id)
    search_api(marked, search, job_id)
    search_processes(marked, search)

    assert len(search.searched) > 60
    assert search.found == []


def test_no_secret_is_in_the_repr_of_what_holds_it(marked_broker: str, search: Search) -> None:
    environ = {
        "DATABASE_URL": f"postgres://u:{MARKS['the password of the database']}@db/x",
        "FOREMAN_BROKER_URL": marked_broker,
        "FOREMAN_SECRET_KEY": FERNET,
        "FOREMAN_WEBHOOK_SECRET": MARKS["FOREMAN_WEBHOOK_SECRET"],
        "FOREMAN_WEBHOOK_URL": f"https://a.example/{MARKS['the token of a receiver']}",
    }
    settings = from_env(environ)
    app = make_celery(settings)

    search.look("settings", f"{settings!r} {settings}")
    search.look("celery", f"{app!r} {app.conf.table()}")
    search.look("connection", repr(app.connection()))

    assert search.found == []


@pytest.fixture
def refused(unstarted: Stack) -> Iterator[Stack]:
    """A relay and a worker whose database and broker refuse them."""
    env = unstarted.env
    env["DATABASE_URL"] = env["DATABASE_URL"].replace("/test_", "/none_")
    env["FOREMAN_BROKER_URL"] = env["FOREMAN_BROKER_URL"].replace("hunter2", "hunter2-wrong")
    unstarted.start("relay", "-m", "foreman", "relay")
    unstarted.start_worker("worker1")
    yield unstarted
    for process in unstarted.processes.values():
        process.kill()
    unstarted.__exit__(None, None, None)


def test_no_secret_is_in_the_errors_of_servers_that_refuse(refused: Stack, search: Search) -> None:
    for process in refused.processes.values():
        wait_for(partial(has_logged, process, "database cannot be used"), 180, process.name)
        wait_for(partial(has_logged, process, "broker cannot be used"), 180, process.name)

    search_processes(refused, search)
    assert search.found == []
