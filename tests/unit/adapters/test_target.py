"""A target that takes a request slowly, or not at all: over real sockets."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from foreman.adapters import target
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.errors import TargetCut, TargetTimeout
from foreman.parsing import TargetSpec

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BODY = b"x" * 4_000_000  # more than the buffers on the way hold
PIECE = 50_000


class SlowReader(threading.Thread):
    """Takes the request `pause_s` after every PIECE; None: takes its beginning and no more."""

    def __init__(self, pause_s: float | None) -> None:
        super().__init__(daemon=True)
        self._pause_s = pause_s
        self.has_begun = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        with self._socket, self._socket.accept()[0] as connection:
            taken = 0
            while taken < len(BODY) and (piece := connection.recv(PIECE)):
                taken += len(piece)
                self.has_begun.set()
                if self._pause_s is None:
                    self.has_ended.wait(20)
                    return
                time.sleep(self._pause_s)  # the rate of a slow link
            connection.sendall(ANSWER)

    has_ended = threading.Event()


@contextmanager
def client_of(reader: SlowReader, *, silence_s: float) -> Iterator[TargetClient]:
    spec = TargetSpec(name="gpu", url=reader.url, slots=1)
    with closing(TargetClient(spec, silence_s=silence_s, connections=1)) as client:
        yield client


@pytest.fixture(autouse=True)
def connect_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "CONNECT_LIMIT_S", 0.2)


ASKED = TargetRequest("POST", "/api/chat", body=BODY)


def test_a_body_may_take_longer_on_its_way_than_a_connection_may() -> None:
    reader = SlowReader(pause_s=0.01)
    with client_of(reader, silence_s=20) as client:
        began_at = time.monotonic()
        head, body = client.fetch(ASKED, silence_s=None)

    assert (head.status, body) == (200, b"{}")
    assert time.monotonic() - began_at > target.CONNECT_LIMIT_S


def test_a_target_that_stops_taking_the_body_was_silent_and_did_not_hang_up() -> None:
    reader = SlowReader(pause_s=None)
    with client_of(reader, silence_s=0.5) as client, pytest.raises(TargetTimeout):
        client.fetch(ASKED, silence_s=None)
    reader.has_ended.set()


def test_a_call_can_be_hung_up_while_its_body_is_on_its_way() -> None:
    reader = SlowReader(pause_s=None)
    with client_of(reader, silence_s=20) as client:
        call = client.call()

        def leave() -> None:
            assert reader.has_begun.wait(10)
            call.abort()

        hang_up = threading.Thread(target=leave)
        hang_up.start()
        began_at = time.monotonic()
        with pytest.raises(TargetCut):
            call.send(ASKED)
        hang_up.join()

    assert time.monotonic() - began_at < 10
    reader.has_ended.set()
