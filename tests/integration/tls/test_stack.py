"""A whole foreman whose database and broker speak TLS: a job runs, and each process verifies."""

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from foreman.embedded.probe import free_port
from foreman.simulation.process import SimulationProcess
from tests.client import chat
from tests.fakes.tls import Authority, TlsProxy
from tests.integration.tls.conftest import SCHEMES, NewProxy, database_at
from tests.stack import Stack, wait_for

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=sorted(SCHEMES))
def broker(
    request: pytest.FixtureRequest, new_broker_url: Callable[[str], str], new_proxy: NewProxy
) -> tuple[str, TlsProxy]:
    """The URL of a broker behind TLS, and what is in front of it."""
    plain = urlsplit(new_broker_url(SCHEMES[request.param]))
    proxy = new_proxy(("127.0.0.1", plain.port or 0))
    user = f"{plain.username}:{plain.password}@" if plain.username else ""
    return f"{request.param}://{user}localhost:{proxy.port}{plain.path}", proxy


def new_stack(
    database: str, broker_url: str, simulation: SimulationProcess, authority: Authority
) -> Stack:
    return Stack(
        database_url=database,
        broker_url=broker_url,
        targets=f"gpu={simulation.url}?slots=4",
        settings={"SSL_CERT_FILE": str(authority.file), "FLOWER_PORT": str(free_port())},
    )


@pytest.fixture
def database(database_proxy: TlsProxy, database_url: str, authority: Authority) -> str:
    verified = ["sslmode=verify-full", f"sslrootcert={authority.file}"]
    return database_at(database_proxy.port, database_url, *verified)


@pytest.fixture
def stack(
    database: str,
    broker: tuple[str, TlsProxy],
    simulation: SimulationProcess,
    authority: Authority,
) -> Iterator[Stack]:
    with new_stack(database, broker[0], simulation, authority) as stack:
        yield stack


def test_a_job_runs_over_tls_from_end_to_end(
    stack: Stack, broker: tuple[str, TlsProxy], database_proxy: TlsProxy
) -> None:
    streamed = stack.post("/api/chat", chat(), timeout_s=60)
    waited = stack.post(
        "/jobs", {"endpoint": "/api/chat", "request": chat()}, headers={"Prefer": "wait=60"}
    )

    assert (streamed.status, streamed.lines[-1]["done"]) == (200, True)
    assert (waited.status, json.loads(waited.body)["state"]) == (200, "succeeded")
    assert database_proxy.handshakes > 0
    assert broker[1].handshakes > 0
    assert not [line for line in stack.log_of("relay") if "cannot be used" in line]

    stack.start("flower", "-m", "celery", "-A", "celery_app", "flower", "--address=127.0.0.1")
    wait_for(lambda: flower_status(stack, "/healthcheck") == 200, 120, "Flower answers")
    assert flower_status(stack, "/broker") == 200
    stack.run("-m", "celery", "-A", "celery_app", "inspect", "-d", "worker1@test", "ping")


def flower_status(stack: Stack, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", int(stack.env["FLOWER_PORT"]), timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_no_process_speaks_to_a_broker_that_it_cannot_verify(
    database: str,
    broker: tuple[str, TlsProxy],
    simulation: SimulationProcess,
    stranger: Authority,
) -> None:
    stack = new_stack(database, broker[0], simulation, stranger)
    try:
        stack.start("web", "-m", "gunicorn", "-c", "python:foreman.serving", "foreman.wsgi:app")
        stack.start("relay", "-m", "foreman", "relay")
        stack.start_worker("worker1")
        for process in stack.processes.values():
            wait_for(lambda log=process: "certificate is not trusted" in log.log_text(), 180)  # type: ignore[misc]  # bound now
    finally:
        for process in stack.processes.values():
            process.kill()
        stack.__exit__(None, None, None)

    assert broker[1].handshakes == 0
