"""One HTTP exchange of a client: bounded in time, and everything that it sees is kept."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.values import Ending, Record

CONNECT_LIMIT_S = 10.0
READ_BYTES = 64 * 1024
# Called with all bytes so far after each piece; True: the client leaves.
Leaves = Callable[[bytes], bool]


def exchange(
    url: str,
    path: str,
    body: bytes,
    record: Record,
    *,
    headers: dict[str, str] | None = None,
    limit_s: float,
    leaves: Leaves = lambda _: False,
) -> None:
    """POST `body`, and note in `record` what comes of it within `limit_s`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=CONNECT_LIMIT_S)
    try:
        connection.connect()
        connection.sock.settimeout(limit_s)
        connection.request(
            "POST", path, body, {"Content-Type": "application/json", **(headers or {})}
        )
        _read(connection.getresponse(), record, leaves, limit_s)
    except TimeoutError:
        record.ending = Ending.HUNG
    except (OSError, http.client.HTTPException):
        record.ending = Ending.CUT if record.status else Ending.NO_ANSWER
    finally:
        connection.close()
        record.ended = time.time()


def _read(answer: http.client.HTTPResponse, record: Record, leaves: Leaves, limit_s: float) -> None:
    record.status = answer.status
    record.headers = {name.lower(): value for name, value in answer.getheaders()}
    while piece := answer.read1(READ_BYTES):
        record.body += piece
        if leaves(record.body):
            record.ending = Ending.LEFT
            return
        if time.time() - record.started > limit_s:
            raise TimeoutError
    # http.client takes a body that is shorter than its Content-Length for whole in `read1`.
    record.ending = Ending.CUT if answer.length else Ending.WHOLE


def encoded(body: Any) -> bytes:
    """A body as it is sent."""
    return json.dumps(body).encode()
