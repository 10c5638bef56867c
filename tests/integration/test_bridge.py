"""The streaming bridge and the passthrough as a client sees them, on both brokers."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold, stream
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for


@pytest.fixture(scope="module")
def ollama() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, tokens_per_s=50, load_s=0.1, slots=1) as process:
        yield process


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def stack(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    ollama: SimulationProcess,
) -> Iterator[Stack]:
    running = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url(request.param),
        targets=f"gpu={ollama.url}?slots=1",
        settings={
            "FOREMAN_KEEPALIVE_AFTER": "0.4",
            "FOREMAN_KEEPALIVE_EVERY": "0.2",
            "FOREMAN_STREAM_BUFFER": "200KiB",
            "FOREMAN_CLIENT_TIMEOUT": "5",
            "FOREMAN_MAX_BODY": "1MiB",
        },
    )
    with running:
        yield running


@pytest.fixture(autouse=True)
def clean(stack: Stack, ollama: SimulationProcess) -> Iterator[None]:
    ollama.clear()
    yield
    ollama.clear()
    wait_for(lambda: not _open_jobs(stack), 20, "no job is left open")


def _open_jobs(stack: Stack) -> list[dict[str, object]]:
    return [job for job in stack.jobs() if job["ended_at"] is None]


def _last_job(stack: Stack) -> dict[str, Any]:
    """The newest one; before there is any, one that says nothing."""
    return (stack.jobs() or [{"state": None, "phase": None}])[-1]


def test_the_first_line_is_there_while_the_model_still_generates(
    stack: Stack, ollama: SimulationProcess
) -> None:
    hold(ollama)
    with stream(stack.url) as opened:
        first = json.loads(opened.read_line())

        assert first["message"]["content"]
        assert ollama.state()["busy_slots"]["chain-a"] == 1
        ollama.end_faults()
        assert json.loads(opened.rest().splitlines()[-1])["done"] is True


def test_the_target_gets_the_clients_bytes_and_the_client_the_targets(
    stack: Stack, ollama: SimulationProcess
) -> None:
    body = (
        b' {"MODEL": "Chain-A", "prompt":"x", "options":{"num_predict":2}, "stream":false} trailing'
    )

    answer = stack.post("/api/generate?ts=1", body)

    assert answer.status == 200
    assert json.loads(answer.body)["model"] == "Chain-A"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    stored = stack.rows(
        "SELECT p.body, p.query FROM payloads p JOIN jobs j ON j.id = p.job_id"
        " ORDER BY j.created_at DESC LIMIT 1"
    )[0]
    assert (bytes(stored["body"]), stored["query"]) == (body, "ts=1")


def test_a_job_is_a_celery_task_of_its_models_queue_and_its_events_are_kept(stack: Stack) -> None:
    body = {"model": "chain-a", "prompt": "x", "stream": False}
    said = {"X-Foreman-Client": "ann", "X-Request-Id": "r-7", "X-Forwarded-For": "192.0.2.7"}
    answer = stack.post("/api/generate", body, headers=said)

    wait_for(lambda: _last_job(stack)["state"] == "succeeded")
    job = _last_job(stack)
    # No proxy is trusted here, so that the address is the connection's own.
    origin = ("ann", "127.0.0.1", "r-7")
    assert (job["client"], job["client_address"], job["request_id"]) == origin
    lines = stack.processes["web"].log_text().splitlines()
    (accepted,) = [json.loads(line) for line in lines if str(job["id"]) in line]
    assert accepted["message"] == "job accepted"
    assert (accepted["client"], accepted["client_address"], accepted["request_id"]) == origin
    assert str(job["id"]) == answer.headers["X-Foreman-Job-Id"]
    assert (job["queue"], job["target"], job["status"]) == ("model.chain-a%3Alatest", "gpu", 200)
    assert job["response_bytes"] == len(answer.body)
    events = stack.rows("SELECT seq, state FROM events WHERE job_id = %s ORDER BY seq", job["id"])
    assert [(row["seq"], row["state"]) for row in events] == [
        (1, "queued"),
        (2, "working"),
        (3, "succeeded"),
    ]


def test_a_client_that_leaves_while_queued_never_reaches_the_gpu(
    stack: Stack, ollama: SimulationProcess
) -> None:
    hold(ollama)
    with stream(stack.url) as running:
        running.read_line()
        with stream(stack.url) as queued:
            wait_for(lambda: _last_job(stack)["state"] == "queued")

            queued.leave()

            wait_for(lambda: _last_job(stack)["state"] == "cancelled")
        ollama.end_faults()
        running.rest()
    assert len(ollama.log("generation")) == 1


@pytest.mark.alone
def test_a_client_that_leaves_mid_stream_stops_the_generation_within_a_second(
    stack: Stack, ollama: SimulationProcess
) -> None:
    with stream(stack.url, body=chat(options={"num_predict": 4000})) as opened:
        opened.read_line()

        opened.leave()

        wait_for(lambda: ollama.log("generation"), 1, "the generation ended")
    assert ollama.log("generation")[0]["ended"] == "client_gone"
    wait_for(lambda: _last_job(stack)["state"] == "cancelled")


def test_a_client_that_leaves_while_the_target_is_silent_is_noticed(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_before", times=1)
    with stream(stack.url, body=chat(stream=False)) as opened:
        wait_for(lambda: _last_job(stack)["phase"] == "generating")

        opened.leave()

        wait_for(lambda: _last_job(stack)["state"] == "cancelled")


def test_a_waiting_ndjson_stream_gets_spaces_and_then_its_lines(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_before", times=1)
    with stream(stack.url, body=chat(options={"num_predict": 2})) as opened:
        spaces = opened.answer.read(3)
        ollama.end_faults()
        body = opened.rest()

        assert opened.answer.headers["Content-Type"] == "application/x-ndjson"
    assert spaces == b"   "
    assert [json.loads(line)["done"] for line in body.splitlines()] == [False, False, True]


def test_a_waiting_event_stream_gets_comments_and_then_its_events(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_before", times=1)
    with stream(stack.url, "/v1/chat/completions", chat(stream=True, max_tokens=2)) as opened:
        comments = opened.answer.read(2 * len(b": queued\n\n"))
        ollama.end_faults()
        body = opened.rest()

        assert opened.answer.headers["Content-Type"] == "text/event-stream"
    assert comments == b": queued\n\n: queued\n\n"
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_request_that_does_not_stream_waits_without_a_byte(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_before", times=1, seconds=1.2)

    answer = stack.post("/api/chat", chat(stream=False, options={"num_predict": 2}))

    assert answer.body.startswith(b"{")


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_an_error_after_the_first_spaces_is_told_in_band(
    stack: Stack, ollama: SimulationProcess, path: str
) -> None:
    hold(ollama)
    with stream(stack.url) as running:
        running.read_line()
        ollama.fault("error500", times=1)
        with stream(stack.url, path, chat(stream=True, max_tokens=5)) as opened:
            first = opened.answer.read(1)  # a keep-alive: its status is told
            running.leave()
            body = first + opened.rest()

            assert opened.answer.status == 200
    last = body.strip().splitlines()[-1].removeprefix(b"data: ")
    assert json.loads(last)["error"]


@pytest.mark.parametrize("kind", ["cut", "half_line"])
def test_a_stream_that_the_target_cuts_ends_with_an_error_line(
    stack: Stack, ollama: SimulationProcess, kind: str
) -> None:
    ollama.fault(kind, times=1, after_tokens=3)
    with stream(stack.url) as opened:
        lines = opened.rest().split(b"\n")

    assert lines[-1] == b""
    assert "closed the connection" in json.loads(lines[-2])["error"]
    wait_for(lambda: _last_job(stack)["error_code"] == "target_cut")


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]
)
def test_a_stream_whose_model_dies_ends_with_an_error_and_its_job_has_failed(
    stack: Stack, ollama: SimulationProcess, path: str
) -> None:
    ollama.fault("error_in_stream", times=1, after_tokens=3)
    asked = chat(stream=True, max_tokens=9, prompt="hi", input="hi")
    with stream(stack.url, path, asked) as opened:
        *_, last = opened.rest().strip().split(b"\n\n")

    name, _, told = last.rpartition(b"data: ")
    assert name == (b"event: error\n" if path == "/v1/messages" else b"")
    assert "ended its answer without the last event" in json.loads(told)["error"]["message"]
    wait_for(lambda: _last_job(stack)["state"] == "failed")
    assert _last_job(stack)["error_code"] == "answer_incomplete"


def test_an_error_line_of_the_targets_own_is_the_last_one_and_the_job_has_failed(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("error_in_stream", times=1, after_tokens=3)
    with stream(stack.url) as opened:
        lines = [json.loads(line) for line in opened.rest().splitlines()]

    assert ["error" in line for line in lines] == [False, False, False, True]
    wait_for(lambda: _last_job(stack)["state"] == "failed")
    job = _last_job(stack)
    assert (job["error_code"], job["error_message"]) == ("target_failed", lines[-1]["error"])


def test_a_stream_straight_from_a_target_ends_with_an_error_line_as_well(
    stack: Stack, ollama: SimulationProcess
) -> None:
    # A name of Ollama's cloud needs no queue: it is passed on.
    copy = {"source": "sim-chat", "destination": "sky:cloud"}
    assert requests.post(f"{ollama.url}/api/copy", json=copy, timeout=5).status_code == 200
    ollama.fault("cut", times=1, after_tokens=3)
    with stream(stack.url, body=chat("sky:cloud")) as opened:
        lines = opened.rest().split(b"\n")

    assert opened.job_id is None
    assert (len(lines), lines[-1]) == (5, b"")
    assert "closed the connection" in json.loads(lines[-2])["error"]


def test_a_target_that_cuts_before_its_first_byte_is_asked_again_unseen(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("cut_before", times=1)

    answer = stack.post("/api/chat", chat(stream=False))

    assert answer.status == 200
    assert _last_job(stack)["attempt"] == 2


def test_a_target_that_always_fails_gives_an_error_of_foremans_own(
    stack: Stack, ollama: SimulationProcess
) -> None:
    ollama.fault("cut_before")

    answer = stack.post("/v1/chat/completions", chat())

    assert answer.status == 502
    assert "closed the connection" in json.loads(answer.body)["error"]["message"]
    job = _last_job(stack)
    assert (job["attempt"], str(job["id"])) == (3, answer.headers["X-Foreman-Job-Id"])


def test_an_error_of_the_target_is_passed_on_as_it_is(
    stack: Stack, ollama: SimulationProcess
) -> None:
    # Of this path: a target that was cut before is asked by foreman, too, whether it is well.
    ollama.fault("error500", path="/api/chat", times=1)

    answer = stack.post("/api/chat", chat())

    assert answer.status == 500
    wait_for(lambda: _last_job(stack)["state"] == "succeeded")
    assert _last_job(stack)["status"] == 500


def test_a_body_over_the_limit_is_refused_and_the_next_request_served(stack: Stack) -> None:
    answer = stack.post("/api/chat", chat(padding="x" * 2**20))

    assert answer.status == 413
    assert "1048576" in json.loads(answer.body)["error"]
    assert stack.post("/api/chat", chat(stream=False)).status == 200


def test_a_body_that_stops_coming_is_refused_in_time(stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

        answer = sock.recv(4096)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_admin_routes_are_closed_by_default(stack: Stack) -> None:
    for path in ("/api/pull", "/api/push", "/api/create", "/api/copy"):
        answer = stack.post(path, {"model": "x"})

        assert answer.status == 403
        assert "FOREMAN_ALLOW_ADMIN" in json.loads(answer.body)["error"]


def test_what_the_surface_does_not_name_is_refused_with_ollamas_404(stack: Stack) -> None:
    for path in ("/api/me", "/api/experimental/web_search", "/debug/pprof", "/api/v9/new"):
        answer = stack.post(path, {})

        assert (answer.status, answer.body) == (404, b"404 page not found")


def test_a_page_of_another_origin_is_refused_and_one_of_this_machine_allowed(stack: Stack) -> None:
    for origin, status in (("https://evil.example", 403), ("http://localhost:3000", 200)):
        connection = http.client.HTTPConnection("127.0.0.1", stack.port)
        connection.request("GET", "/api/version", headers={"Origin": origin})

        answer = connection.getresponse()

        assert answer.status == status
        allowed = origin if status == 200 else None
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        connection.close()


def test_embeddings_do_not_wait_for_a_running_generation(
    stack: Stack, ollama: SimulationProcess
) -> None:
    with stream(stack.url, body=chat(options={"num_predict": 200})) as opened:
        opened.read_line()

        answer = stack.post("/api/embed", {"model": "chain-embed", "input": "sky"})

        assert answer.status == 200
        assert ollama.state()["busy_slots"].get("chain-a") == 1
        opened.leave()


def test_an_unload_is_answered_at_once_by_the_target(stack: Stack) -> None:
    with stream(stack.url) as opened:
        opened.read_line()

        answer = stack.post("/api/generate", {"model": "chain-a", "keep_alive": 0})

        assert json.loads(answer.body)["done_reason"] == "unload"
        opened.rest()


def test_requests_beyond_the_slots_wait_in_foreman_not_in_the_target(
    stack: Stack, ollama: SimulationProcess
) -> None:
    waiting = [Background(stack.url, body=chat(options={"num_predict": 5})) for _ in range(6)]

    assert [each.result()[0] for each in waiting] == [200] * 6
    assert ollama.state()["peak"] == 1
