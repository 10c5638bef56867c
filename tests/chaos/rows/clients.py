"""Clients: they leave early, in the middle, half; they read slowly or never."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from urllib.parse import urlsplit

from tests.chaos import answers
from tests.chaos.ground import WEBS
from tests.chaos.load import stream_request
from tests.chaos.row import Fault, Promise, Row, Scene, Sees
from tests.chaos.rows.faults import nothing
from tests.chaos.targets import CHAT_MODELS
from tests.chaos.values import Kind

PART = "clients"
ODD = 5
# More than all buffers between a target and its client take.
BIG_WORDS, BIG_BYTES = 160, 60_000
Behave = Callable[[socket.socket, float], None]  # what is left of the fault, in seconds


def _with(behave: Behave, *, words: int, size: int = 1) -> Fault:
    """Some clients ask for a stream and behave so."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        for number in range(ODD):
            random = scene.load.random()
            text = answers.words(f"o{number}", words, size)
            scene.load.background(lambda r=random, t=text: _ask(scene, r, t, behave))  # type: ignore[misc]  # binds the loop's values
        yield

    return fault


def _ask(scene: Scene, random: Random, text: str, behave: Behave) -> None:
    path, body = stream_request(Kind.CHAT, random.choice(CHAT_MODELS), text)
    parts = urlsplit(scene.ground.url(random.choice(WEBS)))
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head.encode() + content)
        behave(client, random.uniform(0.05, 0.3))


def _leave_early(client: socket.socket, soon_s: float) -> None:
    time.sleep(soon_s)


def _leave_in_stream(client: socket.socket, soon_s: float) -> None:
    client.recv(400)
    time.sleep(soon_s)


def _half_close(client: socket.socket, soon_s: float) -> None:
    client.recv(400)
    client.shutdown(socket.SHUT_WR)
    time.sleep(6)


def _read_slowly(client: socket.socket, soon_s: float) -> None:
    for _ in range(10):
        if not client.recv(1):
            return
        time.sleep(1)


def _never_read(client: socket.socket, soon_s: float) -> None:
    time.sleep(10)


_OTHERS = Promise(
    says="its generation stops and its slot is free; nobody else notices",
    sees=Sees.NOTHING,
    accepts=True,
    ends=3,
)
CLIENT_ROWS = [
    Row(name="nothing", part=PART, does="nothing breaks: what this machine does by itself",
        fault=nothing, promise=Promise(says="every answer is whole", sees=Sees.NOTHING,
                                       accepts=True), holds=0.75),
    Row(name="client-leaves-early", part=PART, does="clients leave before the first byte",
        fault=_with(_leave_early, words=200), promise=_OTHERS, holds=0.75),
    Row(name="client-leaves", part=PART, does="clients leave in the middle of their streams",
        fault=_with(_leave_in_stream, words=200), promise=_OTHERS, holds=0.75),
    Row(name="client-half-closes", part=PART, does="clients close their direction",
        fault=_with(_half_close, words=200), promise=_OTHERS, holds=1.5),
    Row(name="client-reads-slowly", part=PART, does="clients read 1 byte a second",
        fault=_with(_read_slowly, words=BIG_WORDS, size=BIG_BYTES), promise=_OTHERS, holds=2.5),
    Row(name="client-never-reads", part=PART, does="clients read nothing",
        fault=_with(_never_read, words=BIG_WORDS, size=BIG_BYTES), promise=_OTHERS, holds=2.5),
]  # fmt: skip
