"""The clients: each request of the trace by a thread of its own, sent when it is due."""

import http.client
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.drain.trace import Request

JOB_ID = "X-Foreman-Job-Id"
SILENCE_LIMIT_S = 240.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered as it should be; times of the wall clock."""

    job_id: str
    model: str
    sent_at: float
    first_at: float  # the first line of the body
    ended_at: float


class BadAnswer(Exception):
    """An answer was no answer: the figures would mean nothing."""


class _Client(threading.Thread):
    def __init__(self, url: str, request: Request, number: int) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._request = request
        # The target writes this down; foreman puts its own id in its place.
        self._job_id = str(number)
        self.answered: Answered | None = None
        self.failure = "it did not end"

    def run(self) -> None:
        address = urlsplit(self._url).netloc
        connection = http.client.HTTPConnection(address, timeout=SILENCE_LIMIT_S)
        try:
            self._ask(connection)
        except (OSError, http.client.HTTPException) as error:
            self.failure = repr(error)
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.connect()
        sent_at = time.time()
        connection.request("POST", "/api/chat", self._request.body, {JOB_ID: self._job_id})
        answer = connection.getresponse()
        first = answer.readline()
        first_at = time.time()
        whole = first + answer.read()
        if answer.status != 200 or b'"done":true' not in whole:
            self.failure = f"{answer.status}: {whole[-200:]!r}"
            return
        job_id = answer.headers.get(JOB_ID) or self._job_id
        self.answered = Answered(job_id, self._request.model, sent_at, first_at, time.time())


def send(url: str, trace: Sequence[Request]) -> list[Answered]:
    """Send the trace at its own pace; BadAnswer unless every request gets its whole answer."""
    began_at = time.monotonic()
    clients = [_Client(url, request, number) for number, request in enumerate(trace)]
    for client, request in zip(clients, trace, strict=True):
        time.sleep(max(began_at + request.at_s - time.monotonic(), 0))
        client.start()
    for client in clients:
        client.join(SILENCE_LIMIT_S)
    failures = [each.failure for each in clients if each.answered is None]
    if failures:
        raise BadAnswer(f"{len(failures)} of {len(clients)}, the first: {failures[0]}")
    return [each.answered for each in clients if each.answered is not None]
