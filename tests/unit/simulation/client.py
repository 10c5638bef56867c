"""A plain HTTP client for these tests: whole answers, streams, and requests left half-way."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

WAIT_S = 10.0
_POOL = ThreadPoolExecutor(max_workers=32)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.text.splitlines()]


def ask(
    url: str, path: str, body: object = None, *, method: str = "POST", **headers: str
) -> Answer:
    """Send a request and read its whole answer; `body` may be bytes, or a value for JSON."""
    with connected(url) as connection:
        _send(connection, method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())


def ask_later(url: str, path: str, body: object, **headers: str) -> Future[Answer]:
    """The same in a thread of its own."""
    return _POOL.submit(lambda: ask(url, path, body, **headers))


@contextmanager
def asked(
    url: str, path: str, body: object, **headers: str
) -> Iterator[http.client.HTTPConnection]:
    """A request whose answer may be read inside, or not; at the end the client is gone."""
    with connected(url) as connection:
        _send(connection, "POST", path, body, headers)
        yield connection


@contextmanager
def connected(url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WAIT_S)
    with closing(connection):
        yield connection


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object,
    headers: dict[str, str],
) -> None:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=data, headers=named)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what `condition` gives once it is true; AssertionError when it never is."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError("the condition did not come true")


def chat(model: str, **more: object) -> dict[str, object]:
    """The body of a chat."""
    return {"model": model, "messages": [{"role": "user", "content": "sky"}], **more}
