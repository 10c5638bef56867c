"""Odd, broken and cut answers of a target, as clients of a whole foreman see them."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import chat, stream
from tests.fakes.raw_target import RawTarget, chunked, head, sends
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

CHUNKED = "Transfer-Encoding: chunked"
LINE = b'{"message":{"content":"a"},"done":false}\n'
BUFFER_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def target() -> Iterator[RawTarget]:
    with ExitStack() as running:
        behind = running.enter_context(SimulationProcess(load_s=0.1, slots=2))
        yield running.enter_context(RawTarget(behind.url))


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def stack(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    target: RawTarget,
) -> Iterator[Stack]:
    running = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url(request.param),
        targets=f"gpu={target.url}?slots=4",
        settings={
            "FOREMAN_KEEPALIVE_AFTER": "1",
            "FOREMAN_STREAM_BUFFER": str(BUFFER_BYTES),
        },
    )
    with running:
        yield running


def last_job(stack: Stack) -> dict[str, Any]:
    wait_for(lambda: stack.jobs() and stack.jobs()[-1]["ended_at"] is not None)
    return stack.jobs()[-1]


def after_keepalive(
    stack: Stack, target: RawTarget, answer: bytes, path: str = "/api/chat", **asked: Any
) -> bytes:
    """The body of an answer that the target sends when a keep-alive is out already."""
    may_answer = threading.Event()

    def script(connection: socket.socket, _: bytes) -> None:
        may_answer.wait(30)
        connection.sendall(answer)

    target.script = script
    with stream(stack.url, path, chat(**asked)) as opened:
        first = opened.answer.read(1)
        assert opened.answer.status == 200
        may_answer.set()
        return first + opened.rest()


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "304 Not Modified", "307 Temporary Redirect", "308 Moved"]
)
def test_a_redirect_after_keep_alives_is_an_error_and_no_empty_success(
    stack: Stack, target: RawTarget, status: str
) -> None:
    body = after_keepalive(stack, target, head(status, "Content-Length: 0", "Location: /x"))

    assert status[:3] in json.loads(body)["error"]
    job = last_job(stack)
    assert (job["state"], job["error_code"], job["attempt"]) == ("failed", "target_redirects", 1)


def test_an_empty_error_after_keep_alives_is_an_error_event(
    stack: Stack, target: RawTarget
) -> None:
    answer = head("429 Too Many Requests", "Content-Length: 0")

    body = after_keepalive(stack, target, answer, "/v1/chat/completions", stream=True)

    events = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert len(events) == 1
    error = json.loads(events[0].removeprefix(b"data: "))["error"]
    assert error["message"] == "the target answered 429 Too Many Requests"


@pytest.mark.parametrize(
    ("path", "length"),
    [("/api/chat", "abc"), ("/v1/chat/completions", "-1"), ("/v1/messages", "9" * 30)],
)
def test_a_length_that_is_no_number_is_the_targets_fault_and_no_defect(
    stack: Stack, target: RawTarget, path: str, length: str
) -> None:
    target.script = sends(head("200 OK", f"Content-Length: {length}") + b"{}")

    answer = stack.post(path, chat(stream=False, max_tokens=5))

    assert answer.status == 502
    assert "invalid HTTP" in str(json.loads(answer.body)["error"])
    assert last_job(stack)["error_code"] == "answer_unreadable"
    assert not [line for line in stack.log_of("worker1") if "defect" in line]


def test_a_length_that_is_no_number_is_a_502_on_the_direct_way_too(
    stack: Stack, target: RawTarget
) -> None:
    target.script = sends(head("200 OK", "Content-Length: abc") + b"{}")

    answer = stack.post("/api/chat", chat("nobody-knows-it"))

    assert answer.status == 502
    assert "invalid HTTP" in json.loads(answer.body)["error"]


def test_an_answer_of_one_value_that_is_cut_is_asked_for_again_unseen(
    stack: Stack, target: RawTarget
) -> None:
    begin = head("200 OK", "Content-Type: application/json", CHUNKED)
    whole = begin + chunked(b'{"message":{"content":"a"},', b'"done":true}')
    answers = [whole[:-20], whole]
    target.script = lambda connection, _: connection.sendall(answers.pop(0))

    answer = stack.post("/api/chat", chat(stream=False))

    assert (answer.status, json.loads(answer.body)["done"]) == (200, True)
    assert last_job(stack)["attempt"] == 2


@pytest.mark.parametrize("length", [CHUNKED, f"Content-Length: {4 * BUFFER_BYTES}"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_where_no_error_can_be_reported_the_connection_is_closed_early(
    stack: Stack, target: RawTarget, kind: str, length: str
) -> None:
    piece = b"x" * BUFFER_BYTES
    is_chunked = length is CHUNKED
    body = chunked(piece, piece).removesuffix(b"0\r\n\r\n") if is_chunked else 2 * piece
    target.script = sends(head("200 OK", f"Content-Type: {kind}", length) + body)

    cut = pytest.raises(http.client.IncompleteRead)
    with stream(stack.url, body=chat(stream=False)) as opened, cut as raised:
        opened.rest()

    assert set(raised.value.partial) == set(b"x")
    assert last_job(stack)["error_code"] == "target_cut"
    assert not [line for line in stack.log_of("web") if "Traceback" in line]


def test_a_head_that_is_cut_is_no_empty_answer(stack: Stack, target: RawTarget) -> None:
    target.script = sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n")

    answer = stack.post("/api/chat", chat(stream=False))

    assert answer.status == 502
    assert last_job(stack)["error_code"] == "target_cut"


def test_a_stream_whose_chunks_break_ends_with_one_error_line(
    stack: Stack, target: RawTarget
) -> None:
    begin = head("200 OK", "Content-Type: application/x-ndjson", CHUNKED)
    target.script = sends(begin + b"%x\r\n%b\r\n-5\r\nhello" % (len(LINE), LINE))

    with stream(stack.url) as opened:
        lines = [json.loads(line) for line in opened.rest().splitlines()]

    assert ["error" in line for line in lines] in ([False, True], [True])
    assert last_job(stack)["state"] == "failed"
