"""What the attackers send: requests that froze or flooded foreman once, each as raw bytes."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.ground import MODEL
from tests.bench.hostile.big import BIG_BYTES, BIG_MODEL, BIG_TARGET

MIB = 1024 * 1024
JSON = "application/json"


@dataclass(frozen=True)
class Input:
    """One kind of request; `make` gives its bytes anew, as some must differ each time."""

    name: str
    make: Callable[[], bytes]
    size_bytes: int = 0  # of an answer that is read to its end; 0: only its status is read


def inputs() -> list[Input]:
    """All kinds. Large bodies are built once."""
    numbers = itertools.count(1)
    return [
        _fixed("keep_alive of 8 kB of zeros", "/api/generate", _zeros(8_000)),
        _fixed("keep_alive of 30 kB of zeros", "/api/generate", _zeros(30_000)),
        _fixed("4 MiB of [],[],… on /api/chat", "/api/chat", _brackets(4 * MIB)),
        _fixed("16 MiB of [],[],… on /api/chat", "/api/chat", _brackets(16 * MIB)),
        _fixed(
            "31 MiB of [],[],… on /v1/chat/completions", "/v1/chat/completions", _brackets(31 * MIB)
        ),
        _fixed("64 MiB of [],[],… on /api/chat", "/api/chat", _brackets(64 * MIB)),
        _fixed("4 MiB of [],[],… on /jobs", "/jobs", _job(_brackets(4 * MIB))),
        _fixed("9 000 levels of nesting", "/api/chat", _nested(9_000)),
        _fixed("1 000 000 levels of nesting", "/api/chat", _nested(1_000_000)),
        _fixed(
            "a form with 20 000 boundaries",
            "/v1/audio/transcriptions",
            b"--b\r\nX: y\r\n\r\n\r\n" * 20_000,
            "multipart/form-data; boundary=b",
        ),
        Input("a job with a num_ctx of its own", lambda: _with_num_ctx(2048 + next(numbers))),
        Input("a num_ctx that is no number", lambda: _with_num_ctx("many")),
        Input("a num_ctx of 1e400", lambda: _with_num_ctx(2048).replace(b"2048", b"1e400", 1)),
        Input("GET /queues", lambda: _request("GET", "/queues", b"")),
        Input("an answer of one line of 20 MB", _big_answer, BIG_BYTES),
        Input("20 headers of 60 kB", lambda: _large_head(20, 60_000)),
    ]


def _fixed(name: str, path: str, body: bytes, content_type: str = JSON) -> Input:
    request = _request("POST", path, body, content_type)
    return Input(name, lambda: request)


def _big_answer() -> bytes:
    body = json.dumps({"model": BIG_MODEL, "messages": [{"role": "user", "content": "hi"}]})
    request = _request("POST", "/api/chat", body.encode())
    return request.replace(b"\r\n", f"\r\nX-Foreman-Target: {BIG_TARGET}\r\n".encode(), 1)


def _request(method: str, path: str, body: bytes, content_type: str = JSON) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _zeros(count: int) -> bytes:
    return f'{{"model":"{MODEL}","prompt":"hi","keep_alive":"{"0" * count}"}}'.encode()


def _brackets(size_bytes: int) -> bytes:
    return b'{"model":"nobody-has-it","x":[' + b"[]," * (size_bytes // 3) + b"[]]}"


def _nested(levels: int) -> bytes:
    return b'{"model":"nobody-has-it","x":' + b"[" * levels + b"]" * levels + b"}"


def _job(request: bytes) -> bytes:
    return b'{"endpoint":"/api/chat","request":' + request + b"}"


def _with_num_ctx(value: object) -> bytes:
    wanted = {"model": MODEL, "prompt": "hi", "options": {"num_ctx": value}}
    body = {"endpoint": "/api/generate", "request": wanted, "ttl_seconds": 5}
    return _request("POST", "/jobs", json.dumps(body).encode())


def _large_head(count: int, size_bytes: int) -> bytes:
    lines = "".join(f"X-Filler-{number}: {'a' * size_bytes}\r\n" for number in range(count))
    return f"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()


def turns(kinds: list[Input], start: int) -> Iterator[Input]:
    """All kinds for ever, beginning at another one for each attacker."""
    return itertools.cycle(kinds[start % len(kinds) :] + kinds[: start % len(kinds)])
