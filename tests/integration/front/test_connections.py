"""Connections that send nothing, or not enough, keep nobody else from being served."""

import http.server
import queue
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.integration.front.conftest import NewWeb
from tests.integration.front.raw import RawAnswer, connect, exchange, head, receive
from tests.integration.front.requests import get, post
from tests.stack import Stack, WebAlone, wait_for

SILENT = 2100
HEAD_S = 20.0


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SILENT + 500
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip(f"a process may open only {before[1]} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], wanted), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def patient_web(new_web: NewWeb) -> Iterator[Stack]:
    with new_web(FOREMAN_HEAD_TIMEOUT=f"{HEAD_S:g}") as web:
        yield web


def open_ones(connections: list[socket.socket]) -> int:
    """How many of these the server has not closed."""
    return sum(map(is_open, connections))


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(30)


def open_silent(stack: ExitStack, url: str, number: int, *sources: str) -> list[socket.socket]:
    """Connections that send nothing, in turns from each of the addresses."""
    return [
        stack.enter_context(connect(url, sources[index % len(sources)])) for index in range(number)
    ]


def test_requests_are_served_with_2100_silent_connections_open(patient_web: WebAlone) -> None:
    with ExitStack() as stack:
        silent = open_silent(stack, patient_web.url, SILENT, "127.0.0.2", "127.0.0.3", "127.0.0.4")
        began_at = time.monotonic()

        answers = [patient_web.get(path).status for path in ("/healthz", "/api/version", "/jobs")]

        assert answers == [200, 200, 200]
        assert time.monotonic() - began_at < HEAD_S / 2, "they did not wait for the silent ones"
        assert open_ones(silent) == SILENT


def test_one_address_has_so_many_and_the_oldest_silent_one_makes_room(
    patient_web: WebAlone,
) -> None:
    with ExitStack() as stack:
        kept = stack.enter_context(connect(patient_web.url))
        kept.sendall(get())
        assert receive(kept).status == 200

        silent = open_silent(stack, patient_web.url, SILENT, "127.0.0.1")

        assert patient_web.get("/healthz").status == 200
        wait_for(lambda: open_ones(silent) <= 1000, 10, "the limit of one address holds")
        assert not is_open(silent[0])
        assert is_open(silent[-1])
        # Who has sent a request before goes last.
        kept.sendall(get())
        assert receive(kept).status == 200


def test_a_connection_that_sends_nothing_is_closed_without_a_word(web: WebAlone) -> None:
    with connect(web.url) as connection:
        answer = receive(connection)

    assert answer.is_closed
    assert answer.received == b""


def test_a_connection_between_two_requests_may_be_idle_for_longer(web: WebAlone) -> None:
    with connect(web.url) as connection:
        connection.sendall(get())
        # FOREMAN_HEAD_TIMEOUT is 2 s here.
        assert not receive(connection, quiet_s=3).is_closed
        connection.settimeout(30)
        connection.sendall(get())
        assert receive(connection).status == 200
        connection.settimeout(30)
        connection.sendall(get()[:20])
        assert receive(connection).status == 408


def test_an_empty_line_after_a_request_is_no_beginning_of_the_next(web: WebAlone) -> None:
    with connect(web.url) as connection:
        connection.sendall(get() + b"\r\n")

        assert not receive(connection, quiet_s=3).is_closed


class HangingTarget:
    """A target that lists no models, and answers no request that is not a GET."""

    def __init__(self) -> None:
        self.hanging: queue.SimpleQueue[str] = queue.SimpleQueue()  # the methods of requests
        self.released = threading.Event()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b'{"models": []}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_DELETE(self) -> None:
                target.hanging.put(self.command)
                target.released.wait(60)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def hanging_target() -> Iterator[HangingTarget]:
    target = HangingTarget()
    thread = threading.Thread(target=target.server.serve_forever, args=(0.05,))
    thread.start()
    yield target
    target.released.set()
    target.server.shutdown()
    target.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def narrow_web(new_web: NewWeb, hanging_target: HangingTarget) -> Iterator[Stack]:
    """One that serves three requests of an address."""
    target = f"gpu=http://127.0.0.1:{hanging_target.server.server_port}"
    with new_web(
        FOREMAN_MAX_CONNECTIONS_PER_ADDRESS="3", FOREMAN_TARGETS=target, FOREMAN_ALLOW_ADMIN="1"
    ) as web:
        yield web


def ask(url: str, source: str, sent: bytes) -> RawAnswer:
    """One request from an address."""
    with connect(url, source) as connection:
        connection.sendall(sent)
        return receive(connection)


def test_with_every_place_of_an_address_busy_it_is_told_so_and_others_are_served(
    narrow_web: WebAlone, hanging_target: HangingTarget
) -> None:
    url = narrow_web.url
    with ExitStack() as stack:
        for _ in range(3):
            busy = stack.enter_context(connect(url, "127.0.0.2"))
            busy.sendall(head(b"/api/delete", method=b"DELETE"))
            assert hanging_target.hanging.get(timeout=30) == "DELETE"

        answer = ask(url, "127.0.0.2", head(b"/v1/models"))

        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert b'"code":"server_busy"' in answer.body
        assert ask(url, "127.0.0.2", head(b"/healthz")).status == 200
        assert ask(url, "127.0.0.3", head(b"/jobs")).status == 200


def test_requests_whose_bodies_do_not_come_make_room_for_others(narrow_web: WebAlone) -> None:
    with ExitStack() as stack:
        waiting = []
        for _ in range(3):
            connection = stack.enter_context(connect(narrow_web.url, "127.0.0.2"))
            connection.sendall(post(b"Content-Length: 10", b"Expect: 100-continue", body=b""))
            assert receive(connection).status == 100
            waiting.append(connection)
        # The first one sends some of its body: it is no longer the one to close.
        waiting[0].sendall(b"12345")

        answer = ask(narrow_web.url, "127.0.0.2", head(b"/jobs"))

        assert answer.status == 200
        assert sum(map(is_open, waiting)) == 2


def test_a_client_that_resets_its_connection_leaves_no_stack_trace(web: WebAlone) -> None:
    for sent in (b"", b"GET /a", post(b"Content-Length: 10", body=b"12345")):
        with connect(web.url) as connection, suppress(OSError):
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            connection.sendall(sent)

    assert exchange(web.url, get()).status == 200
    assert "Traceback" not in web.processes["web"].log_text()


def test_requests_that_arrive_together_do_not_keep_others_waiting(web: WebAlone) -> None:
    count = 200  # in one read of the server
    with connect(web.url) as early, connect(web.url) as hasty, connect(web.url) as late:
        for connection in (early, hasty, late):  # the server has accepted them
            connection.sendall(get())
            assert receive(connection).status == 200
            connection.settimeout(30)
        web.processes["web"].signal(signal.SIGSTOP)
        early.sendall(head(b"/jobs/other"))
        hasty.sendall(head(b"/jobs/hasty") * count)
        late.sendall(head(b"/jobs/other"))
        web.processes["web"].signal(signal.SIGCONT)

        assert receive(early).status == receive(late).status == 404
        assert receive(hasty, quiet_s=5).statuses == [404] * count

    refused = [line for line in web.log_of("web") if '"path": "/jobs/' in line]
    served = [index for index, line in enumerate(refused) if "/jobs/other" in line]
    assert len(refused) == count + 2
    assert max(served) < count / 4
