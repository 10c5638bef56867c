"""Answers that foreman reads itself: how large and how slow they may be. Over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.memory import loaded_models
from foreman.adapters.target import FETCH_LIMIT_BYTES, TargetClient, TargetRequest
from foreman.errors import AnswerTooLarge, TargetError, TargetTimeout
from foreman.parsing import TargetSpec

ASKED = TargetRequest("GET", "/api/tags")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LIMIT_S = 0.5

Answer = Callable[[socket.socket], None]


@contextmanager
def target_that(answer: Answer) -> Iterator[TargetClient]:
    """A client of a server that answers each connection so."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    spec = TargetSpec(name="gpu", url=f"http://127.0.0.1:{server.getsockname()[1]}", slots=1)
    with closing(server), closing(TargetClient(spec, silence_s=20, connections=1)) as client:
        yield client


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(b"[" * 65536)


def drips_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    _drip(connection, b" ")


def drips_open_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'\r\n{"models":[]}')
    _drip(connection, b" ")


def drips_head(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"X-More: ")
    _drip(connection, b"x")


def _drip(connection: socket.socket, piece: bytes) -> None:
    while True:
        connection.sendall(piece)
        time.sleep(LIMIT_S / 10)  # the rate at which it drips


def test_an_endless_answer_is_given_up_at_4_mib() -> None:
    assert FETCH_LIMIT_BYTES == 4 * 1024 * 1024
    with target_that(endless) as client, pytest.raises(AnswerTooLarge, match="gpu has more than"):
        client.fetch(ASKED, silence_s=20)


@pytest.mark.parametrize("answer", [drips_body, drips_open_body, drips_head])
def test_an_answer_that_drips_is_given_up_although_it_is_never_silent(answer: Answer) -> None:
    with target_that(answer) as client:
        began_at = time.monotonic()
        with pytest.raises(TargetTimeout, match=r"did not answer completely within 0\.5 s"):
            client.fetch(ASKED, silence_s=LIMIT_S)

    assert time.monotonic() - began_at < 10


def test_an_answer_that_is_whole_in_time_is_not_disturbed_later() -> None:
    def whole(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        connection.recv(1)

    with target_that(whole) as client:
        head, body = client.fetch(ASKED, silence_s=LIMIT_S)

    assert (head.status, body) == (200, b"{}")


def test_a_target_with_an_endless_list_is_away() -> None:
    with target_that(endless) as client:
        catalog = Catalog({"gpu": client})
        catalog.refresh()

    assert not catalog.is_reachable("gpu")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"models":null}',
        b'{"models":["m"]}',
        b'{"models":[{"name":1,"size":1,"expires_at":"2026-01-01T00:00:00Z"}]}',
        b'{"models":[{"name":"m","size":1e999,"expires_at":"2026-01-01T00:00:00Z"}]}',
        b'{"models":' + b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode(),
)
def test_a_target_that_does_not_say_what_it_has_loaded_is_an_error_of_the_target(
    body: bytes,
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    with target_that(answer) as client, pytest.raises(TargetError, match="does not say"):
        loaded_models(client)


@pytest.mark.parametrize("answer", [drips_body, drips_open_body, drips_head])
def test_an_answer_that_is_passed_on_has_a_deadline_too(answer: Answer) -> None:
    with target_that(answer) as client:
        call = client.bounded_call(limit_s=LIMIT_S, limit_bytes=FETCH_LIMIT_BYTES)

        def answered() -> None:
            call.send(ASKED)
            list(call.chunks())

        with closing(call), pytest.raises(TargetTimeout, match="did not answer completely"):
            answered()


def test_the_limit_of_an_answer_is_not_passed_by_a_byte() -> None:
    with target_that(endless) as client:
        call = client.bounded_call(limit_s=20, limit_bytes=100_000)
        call.send(ASKED)
        received = 0
        with closing(call), pytest.raises(AnswerTooLarge):  # noqa: PT012  # counts what came
            for chunk in call.chunks():
                received += len(chunk)

    assert 0 < received <= 100_000
