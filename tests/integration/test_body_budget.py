"""All request bodies that a web process holds have one budget; beyond it the answer is 503."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Background, chat, hold
from tests.servers import PostgresServer
from tests.stack import Answer, Stack, wait_for

MIB = 1024 * 1024
# Room for one body of the largest size: a byte that is not given back is a byte too few for it.
BUDGET = MIB
TRIES, PAUSE_S = 20, 0.2


@pytest.fixture(scope="module")
def ollama() -> Iterator[SimulationProcess]:
    with SimulationProcess(tokens_per_s=200, load_s=0.1, slots=1) as process:
        yield process


@pytest.fixture(scope="module")
def stack(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    ollama: SimulationProcess,
) -> Iterator[Stack]:
    running = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={ollama.url}?slots=1",
        settings={
            "FOREMAN_MAX_BODY": "1MiB",
            "FOREMAN_BODY_BUDGET": "1MiB",
            "FOREMAN_CLIENT_TIMEOUT": "4",
        },
    )
    with running:
        yield running


@contextmanager
def upload(stack: Stack, path: str, head: str, part: bytes) -> Iterator[socket.socket]:
    """A request whose body has begun to come."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        sock.sendall(part)
        yield sock


def unfinished(stack: Stack) -> Any:
    """Holds most of the budget."""
    return upload(stack, "/api/chat", f"Content-Length: {MIB}", b" " * (MIB - 1000))


def unfinished_in_chunks(stack: Stack) -> Any:
    """The same, with a body whose length nobody knows."""
    size = MIB - 1000
    part = b"%x\r\n" % size + b" " * size + b"\r\n"
    return upload(stack, "/api/chat", "Transfer-Encoding: chunked", part)


def large(size_bytes: int = BUDGET) -> bytes:
    """A chat of exactly this size."""
    body = json.dumps(chat(stream=False, padding="")).encode()
    return body.replace(b'"padding": ""', b'"padding": "%s"' % (b"x" * (size_bytes - len(body))))


def is_full(stack: Stack) -> bool:
    return stack.post("/api/chat", large(MIB // 2)).status == 503


@contextmanager
def filled(stack: Stack, begin: Callable[[Stack], Any]) -> Iterator[None]:
    """The budget is held by a request whose body has not ended yet.

    A probe that comes while that body is still being read takes its room, and it is refused itself:
    then it begins again.
    """
    for _ in range(TRIES):
        with begin(stack):
            time.sleep(PAUSE_S)
            if is_full(stack):
                yield
                return
    raise AssertionError("no upload has filled the budget")


def assert_is_whole(stack: Stack) -> None:
    """A body that needs all of it finds room: soon, for a connection's end takes its time."""
    wait_for(lambda: stack.post("/api/chat", large()).status == 200, 20, "the budget is whole")


@pytest.mark.parametrize(
    ("path", "read_error"),
    [
        ("/api/chat", lambda answer: answer["error"]),
        ("/api/embed", lambda answer: answer["error"]),
        ("/v1/chat/completions", lambda answer: answer["error"]["message"]),
        ("/v1/messages", lambda answer: answer["error"]["message"]),
        ("/jobs", lambda answer: answer["detail"]),
    ],
)
def test_a_body_that_finds_no_room_is_told_to_come_again_in_its_own_form(
    stack: Stack, path: str, read_error: Callable[[Any], str]
) -> None:
    with filled(stack, unfinished):
        answer: Answer = stack.post(path, large(MIB // 2))

        assert answer.status == 503
        assert "server busy, please try again" in read_error(json.loads(answer.body))
        assert int(answer.headers["Retry-After"]) > 0
    assert_is_whole(stack)


def test_a_small_body_finds_room_at_any_time(stack: Stack) -> None:
    with filled(stack, unfinished):
        assert stack.post("/api/chat", large(60_000)).status == 200


def test_a_chunked_body_is_counted_as_it_comes(stack: Stack) -> None:
    with filled(stack, unfinished_in_chunks):
        pass
    assert_is_whole(stack)


def test_a_body_that_has_only_been_announced_takes_no_room(stack: Stack) -> None:
    with ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(upload(stack, "/api/chat", f"Content-Length: {MIB}", b"{"))

        assert stack.post("/api/chat", large()).status == 200


def test_a_body_that_comes_steadily_but_too_slowly_is_refused(stack: Stack) -> None:
    with upload(stack, "/api/chat", "Content-Length: 70000", b"{") as sock:
        sock.settimeout(0.2)
        answer = b""

        def is_refused() -> bool:
            nonlocal answer
            try:
                sock.sendall(b" ")
                answer += sock.recv(4096)
            except TimeoutError:
                return False
            return True

        wait_for(is_refused, 30, "the answer")
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("path", "head", "part"),
    [
        pytest.param("/api/chat", f"Content-Length: {MIB}", b" " * 900_000, id="client leaves"),
        pytest.param(
            "/jobs", f"Content-Length: {MIB}", b" " * 900_000, id="caller of a job leaves"
        ),
        pytest.param(
            "/jobs/batch", f"Content-Length: {MIB}", b"x" * 900_000, id="batch ends early"
        ),
        pytest.param("/api/chat", "Transfer-Encoding: chunked", b"zz\r\n", id="no chunk"),
        pytest.param(
            "/api/chat",
            "Transfer-Encoding: chunked",
            (b"%x\r\n" % 900_000 + b" " * 900_000 + b"\r\n") * 2,
            id="too large",
        ),
    ],
)
def test_what_ends_badly_gives_its_room_back(
    stack: Stack, path: str, head: str, part: bytes
) -> None:
    with upload(stack, path, head, part):
        pass
    assert_is_whole(stack)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/jobs", b"[" * 900_000, 400),
        ("/jobs", b'{"endpoint":"/api/chat","request":{},"x":"%s"}' % (b"x" * 900_000), 413),
        ("/api/chat", b" " * (MIB + 1), 413),
        ("/api/chat", b"{" * 900_000, 400),
    ],
)
def test_what_is_refused_gives_its_room_back(
    stack: Stack, path: str, body: bytes, status: int
) -> None:
    assert stack.post(path, body).status == status
    assert stack.post("/api/chat", large()).status == 200


def test_a_request_that_waits_in_its_queue_holds_no_body(
    stack: Stack, ollama: SimulationProcess
) -> None:
    hold(ollama)
    first = Background(stack.url)
    wait_for(lambda: ollama.state()["busy_slots"].get("chain-a"))
    waiting = []
    for count in range(2, 5):
        waiting.append(Background(stack.url, body=json.loads(large())))
        wait_for(lambda count=count: len(open_jobs(stack)) == count)  # type: ignore[misc]  # mypy knows no default here

    ollama.end_faults()

    assert [each.result()[0] for each in (first, *waiting)] == [200] * 4


def open_jobs(stack: Stack) -> list[dict[str, Any]]:
    return [job for job in stack.jobs() if job["ended_at"] is None]


def test_a_line_of_a_batch_counts_and_a_batch_without_room_ends_with_that_error(
    stack: Stack,
) -> None:
    with filled(stack, unfinished):
        answer = stack.post("/jobs/batch", b"x" * 900_000)

        assert answer.status == 200
        assert [(line["status"], line["retry_after_s"]) for line in answer.lines] == [(503, 2)]
    assert_is_whole(stack)
