"""Generations that no queue can be found for: bounded, and their places always free again."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.errors import ClientLeft
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services.bypass import Places
from foreman.services.direct import Unplaced

ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
REQUEST = TargetRequest("POST", "/api/chat", body=b"{")


class SilentTarget:
    """Accepts connections, and answers one at each call of `answer`."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.asked: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.recv(65536)
            self.asked.put(connection)

    def answer(self) -> None:
        """Answer the next request; it must have come."""
        with self.asked.get(timeout=10) as connection:
            connection.sendall(ANSWER)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


@pytest.fixture
def target() -> Iterator[SilentTarget]:
    with closing(SilentTarget()) as opened:
        yield opened


@pytest.fixture
def runtime(target: SilentTarget) -> Iterator[WebRuntime]:
    """One target with one place."""
    client = TargetClient(
        TargetSpec(name="gpu", url=target.url, slots=1), silence_s=10, connections=4
    )
    settings = SimpleNamespace(bypass_concurrency=1)
    with closing(client):
        yield cast(WebRuntime, SimpleNamespace(targets={"gpu": client}, settings=settings))


def test_one_that_finds_no_place_waits_until_another_has_ended(
    runtime: WebRuntime, target: SilentTarget
) -> None:
    places = Places(runtime)
    exchanges = [Unplaced(runtime, places, "gpu", REQUEST) for _ in range(2)]
    answers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=lambda each=each: answers.put(each.start().status))
        for each in exchanges
    ]
    for thread in threads:
        thread.start()

    target.answer()
    first = answers.get(timeout=10)

    assert first == 400
    assert places.busy == {"gpu": 2}
    assert target.asked.empty()  # the place is held until the answer has ended
    for each in exchanges:
        each.close()  # the one without a place has nothing to give back
    target.answer()
    assert answers.get(timeout=10) == 400
    for thread in threads:
        thread.join(10)
    for each in exchanges:
        each.close()
    assert places.busy == {}


def test_a_client_that_leaves_while_it_waits_reaches_no_target(
    runtime: WebRuntime, target: SilentTarget
) -> None:
    places = Places(runtime)
    exchange = Unplaced(runtime, places, "gpu", REQUEST)
    exchange.leave()

    with pytest.raises(ClientLeft):
        exchange.start()
    exchange.close()
    exchange.close()

    assert target.asked.empty()
    assert places.busy == {}
