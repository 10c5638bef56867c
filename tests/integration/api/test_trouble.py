"""When something is away: no database, no target, a process that stops."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from foreman.adapters import broker
from foreman.api import create_app
from foreman.config import from_env
from foreman.embedded.probe import free_port
from foreman.runtime import WebRuntime
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store
from tests.stack import wait_for

NewCaller = Callable[..., Caller]


@pytest.fixture
def new_caller(runtime: WebRuntime) -> Iterator[NewCaller]:
    """Makes a caller of an application with other settings than the shared one."""
    made: list[WebRuntime] = []

    def make(**settings: str) -> Caller:
        shared = runtime.settings
        environ = {
            "DATABASE_URL": shared.database_url,
            "FOREMAN_BROKER_URL": shared.broker_url,
            "FOREMAN_TARGETS": ",".join(f"{each.name}={each.url}" for each in shared.targets),
        }
        made.append(WebRuntime(from_env(environ | settings)))
        return Caller(create_app(made[-1]))

    yield make
    for each in made:
        each.close()


@pytest.fixture
def without_database(new_caller: NewCaller) -> Caller:
    return new_caller(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/none")


@pytest.fixture
def stopping(runtime: WebRuntime) -> Iterator[WebRuntime]:
    yield runtime
    runtime.is_stopping = False


@pytest.mark.parametrize("path", ["/jobs", "/jobs/01890000-0000-7000-8000-000000000001/events"])
def test_without_a_database_who_asks_is_told_when_to_ask_again(
    without_database: Caller, path: str
) -> None:
    answer = without_database.get(path)

    assert problem_of(answer)[:2] == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_without_a_database_nothing_is_accepted(without_database: Caller) -> None:
    assert problem_of(without_database.post("/jobs", ask()))[:2] == (503, "database_unavailable")


def test_without_a_database_every_line_is_told_and_the_next_chunk_not_tried(
    without_database: Caller,
) -> None:
    body = (json.dumps(ask()).encode() + b"\n") * 1100

    answer = without_database.post("/jobs/batch", body)

    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["index"] for line in lines] == list(range(1100))
    assert {(line["status"], line["error"]["type"]) for line in lines} == {
        (503, "/docs#database_unavailable")
    }


def test_while_no_target_answers_a_job_is_accepted_and_waits(new_caller: NewCaller) -> None:
    alone = new_caller(FOREMAN_TARGETS=f"gpu=http://127.0.0.1:{free_port()}")

    job = alone.job(alone.submit(request={"model": "never-seen", "prompt": "x"}))

    assert (job["state"], job["model"]) == ("queued", "never-seen:latest")


def test_a_repeat_is_not_judged_again(caller: Caller, store: Store, new_caller: NewCaller) -> None:
    alone = new_caller(FOREMAN_TARGETS=f"gpu=http://127.0.0.1:{free_port()}")
    body = ask(request={"model": "never-seen", "prompt": "x"})
    line = json.dumps(body).encode()
    first = alone.post("/jobs", body, Idempotency_Key="k")
    lines = alone.post("/jobs/batch", line, Idempotency_Key="k").data

    again = caller.post("/jobs", body, Idempotency_Key="k")

    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert caller.post("/jobs/batch", line, Idempotency_Key="k").data == lines
    assert problem_of(caller.post("/jobs", body))[1] == "model_not_found"
    assert len(store.sql("SELECT id FROM jobs")) == 2


def test_without_a_database_a_batch_with_a_key_is_told_so_by_the_line(
    without_database: Caller,
) -> None:
    body = json.dumps(ask()).encode() + b"\n{\n"

    answer = without_database.post("/jobs/batch", body, Idempotency_Key="k")

    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["status"] for line in lines] == [503, 400]
    assert lines[0]["retry_after_s"] > 0
    assert "retry_after_s" not in lines[1]


def test_no_request_for_a_merged_list_waits_for_targets_that_are_away(
    new_caller: NewCaller,
) -> None:
    with ScriptedTarget(lambda _: Reply()) as one, ScriptedTarget(lambda _: Reply()) as other:
        away = new_caller(FOREMAN_TARGETS=f"one={one.url},other={other.url}")  # none was heard yet

        answer = away.get("/v1/models")

    assert answer.status_code == 503
    assert one.asked == other.asked == []


def test_a_model_that_another_target_has_is_not_run_on_the_one_that_is_named(
    new_caller: NewCaller, runtime: WebRuntime
) -> None:
    url = runtime.settings.targets[0].url
    both = new_caller(FOREMAN_TARGETS=f"gpu={url},away=http://127.0.0.1:{free_port()}")

    assert both.post("/jobs", ask(), X_Foreman_Target="gpu").status_code == 202
    # It does not answer now, and may have the model when it does.
    assert both.post("/jobs", ask(), X_Foreman_Target="away").status_code == 202


def test_a_process_that_stops_accepts_nothing_more(caller: Caller, stopping: WebRuntime) -> None:
    stopping.is_stopping = True

    assert problem_of(caller.post("/jobs", ask()))[:2] == (503, "shutting_down")
    line = json.loads(caller.post("/jobs/batch", json.dumps(ask()).encode()).data)
    assert (line["status"], line["error"]["type"]) == (503, "/docs#shutting_down")


def test_a_process_that_stops_lets_its_waiters_go(
    caller: Caller, store: Store, stopping: WebRuntime
) -> None:
    job_id = caller.submit()
    other = Caller(caller.app)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(other.get, f"/jobs/{job_id}/events?after_seq=1&wait=60")
        wait_for(lambda: any(each.name == "watcher" for each in threading.enumerate()))

        stopping.is_stopping = True

        assert waiting.result(10).json["data"] == []


def test_a_defect_is_a_problem_without_its_details(caller: Caller, store: Store) -> None:
    caller.submit()
    store.sql("ALTER TABLE events RENAME COLUMN reason TO reason_away")
    try:
        answer = caller.get(f"/jobs/{_only_id(store)}/events")
    finally:
        store.sql("ALTER TABLE events RENAME COLUMN reason_away TO reason")

    assert problem_of(answer)[:2] == (500, "internal_error")
    assert "reason" not in answer.text


def test_the_message_of_an_accepted_job_is_in_the_queue_of_its_class(
    caller: Caller, runtime: WebRuntime
) -> None:
    caller.submit(priority="batch")
    caller.submit(priority="interactive")

    wait_for(lambda: _waiting(runtime, "model.chain-a%3Alatest~batch") > 0, 10)
    wait_for(lambda: _waiting(runtime, "model.chain-a%3Alatest") > 0, 10)


def _only_id(store: Store) -> UUID:
    found: UUID = store.sql("SELECT id FROM jobs")[0]["id"]
    return found


def _waiting(runtime: WebRuntime, queue: str) -> int:
    with broker.connect(runtime.settings) as connection:
        return broker.queue_length(connection, queue)
