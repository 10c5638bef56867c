"""A target that has not listed its models yet may have any model: nothing goes past the queue."""

from collections.abc import Callable, Iterator

import pytest

from foreman.config import from_env
from foreman.runtime import WebRuntime
from foreman.services.outlook import read_facts
from foreman.simulation.process import SimulationProcess
from tests.fakes.silent import silent_server
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store
from tests.servers import PostgresServer
from tests.stack import wait_for

CHAT = {"model": "unknown", "messages": [{"role": "user", "content": "hi"}], "stream": False}
KNOWN = CHAT | {"model": "chain-a"}


@pytest.fixture(scope="module")
def runtime(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> Iterator[WebRuntime]:
    """A web process with two targets, of which one accepts connections and never answers."""
    with silent_server() as silent:
        environ = {
            "DATABASE_URL": postgres.create_database(template_url),
            "FOREMAN_BROKER_URL": new_broker_url("redis"),
            "FOREMAN_TARGETS": f"gpu={simulation.url}?slots=4,hangs={silent}",
        }
        runtime = WebRuntime(from_env(environ))
        runtime.catalog.refresh(1.0)
        wait_for(lambda: runtime.inbox.is_consuming, 20, "the reply queue is there")
        yield runtime
        runtime.close()


@pytest.fixture(autouse=True)
def live(runtime: WebRuntime, store: Store, simulation: SimulationProcess) -> None:
    """A worker drives the target that answers."""
    store.declare("gpu")
    store.lease("gpu")
    read_facts(runtime)
    simulation.clear()


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/show", "/api/embed"])
def test_a_request_for_a_model_on_no_list_is_refused_for_a_while(
    caller: Caller, simulation: SimulationProcess, path: str
) -> None:
    answer = caller.post(path, CHAT | {"input": "hi"})

    assert answer.status_code == 503
    assert "hangs" in answer.text
    assert answer.headers["Retry-After"]
    # Other tests' models may leave the simulation meanwhile.
    assert simulation.log("load") == simulation.log("generation") == []


def test_a_job_for_a_model_on_no_list_is_accepted_and_waits(caller: Caller) -> None:
    assert caller.post("/jobs", ask(request=CHAT)).status_code == 202


def test_a_request_for_the_silent_target_is_not_sent_past_its_queue(caller: Caller) -> None:
    for body in (CHAT, KNOWN):
        answer = caller.post("/api/chat", body, X_Foreman_Target="hangs")

        assert answer.status_code == 503
        assert "hangs" in answer.text


def test_the_target_that_was_heard_says_itself_what_it_does_not_have(caller: Caller) -> None:
    answer = caller.post("/api/chat", CHAT, X_Foreman_Target="gpu")

    assert answer.status_code == 404
    assert "not found" in answer.json["error"]


def test_a_job_for_the_target_that_was_heard_is_judged_by_its_list(caller: Caller) -> None:
    answer = caller.post("/jobs", ask(request=CHAT), X_Foreman_Target="gpu")

    assert problem_of(answer)[:2] == (422, "model_not_found")
