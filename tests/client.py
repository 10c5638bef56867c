"""A plain HTTP client for tests: sees every byte as it comes, and may leave at any moment."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from foreman.simulation.process import SimulationProcess

# Longer than the relay takes to send a lost message again (30 s for one that was sent twice).
LIMIT_S = 60.0


def chat(model: str = "chain-a", **more: Any) -> dict[str, Any]:
    """The body of a short chat."""
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


class Stream:
    """One request; `first`, `read_line` and `rest` give the body's bytes."""

    def __init__(
        self, url: str, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)
        self.connection.request("POST", path, json.dumps(body), headers or {})
        self._answer: http.client.HTTPResponse | None = None

    @property
    def answer(self) -> http.client.HTTPResponse:
        """Status and headers; waits for them."""
        if self._answer is None:
            self._answer = self.connection.getresponse()
        return self._answer

    @property
    def job_id(self) -> str:
        return self.answer.headers["X-Foreman-Job-Id"]

    def read_line(self) -> bytes:
        return self.answer.readline()

    def rest(self) -> bytes:
        return self.answer.read()

    def leave(self) -> None:
        """Hang up."""
        if self.connection.sock is not None:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def hold(ollama: SimulationProcess) -> None:
    """The next chat stops after its first token, until `ollama.end_faults()`."""
    ollama.fault("stall_in_stream", path="/api/chat", after_tokens=1, times=1)


@contextmanager
def stream(url: str, path: str = "/api/chat", body: Any = None) -> Iterator[Stream]:
    """A streaming request that ends with the block."""
    opened = Stream(url, path, chat() if body is None else body)
    try:
        yield opened
    finally:
        opened.connection.close()


class Background(threading.Thread):
    """A whole request in the background: `result` waits for its status and body."""

    def __init__(
        self,
        url: str,
        path: str = "/api/chat",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._opened = Stream(url, path, chat() if body is None else body, headers)
        self._result: tuple[int, bytes] | None = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = (self._opened.answer.status, self._opened.rest())
        except Exception as error:  # shown by `result`, in the thread that asks
            self._error = error
        finally:
            self._opened.connection.close()

    @property
    def is_waiting(self) -> bool:
        return self.is_alive()

    def header(self, name: str) -> str | None:
        """A header of the answer; call `result` before."""
        return self._opened.answer.headers[name]

    def result(self, limit_s: float = LIMIT_S) -> tuple[int, bytes]:
        self.join(limit_s)
        if self._error is not None:
            raise self._error
        assert self._result is not None, f"no answer within {limit_s:g} s"
        return self._result


class Got:
    """A whole answer; headers as a list, for there may be two of one name."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.getheaders()
        self.body = answer.read()

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, values
        return values[0] if values else None


def call(url: str, method: str, path: str, body: object, headers: dict[str, str]) -> Got:
    """A whole request with these headers and no other."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)
    given = None if body is None else json.dumps(body).encode()
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in {"Content-Length": str(len(given or b"")), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(given)
    try:
        return Got(connection.getresponse())
    finally:
        connection.close()
