"""The load: many streaming clients in one process, cheap and exact.

Raw sockets below one epoll, no JSON and no HTTP library: what is measured is the server. Times are
of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import gc
import heapq
import json
import random
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

READ_BYTES = 256 * 1024
SILENCE_LIMIT_S = 60.0
_HEAD_END = b"\r\n\r\n"
_BODY_END = b"0\r\n\r\n"
_CRLF = b"\r\n"
_JOB_ID = b"x-foreman-job-id:"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask, by how many, how often."""

    url: str
    path: str
    body: str
    clients: int
    streams_each: int
    spread_s: float = 0.0  # the clients begin evenly over this time
    pause_s: float = 0.0  # each waits a random time up to this between two streams


@dataclass(frozen=True)
class Sample:
    """One stream as its client saw it; times in seconds."""

    number: int  # of its client's streams, from 0
    sent_at: float
    first_s: float  # until the first byte of the body
    total_s: float
    lines: int
    size_bytes: int
    is_whole: bool  # status 200, and the last line says that it is done
    job_id: str


class _Client:
    """One connection that asks again and again."""

    def __init__(self, load: Load) -> None:
        parts = urlsplit(load.url)
        self._address = (parts.hostname or "", parts.port or 80)
        body = load.body.encode()
        self._request = (
            f"POST {load.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.asked = 0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=SILENCE_LIMIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self) -> None:
        self._head, self._tail, self._has_head = b"", b"", False
        self._first_at = 0.0
        self._lines = self._size = 0
        self.sent_at = time.monotonic()
        self.socket.sendall(self._request)

    def take(self) -> Sample | None:
        """Read what has come; the sample once the stream is at its end."""
        data = self.socket.recv(READ_BYTES)
        now = time.monotonic()
        if not data:
            raise ConnectionError(f"closed after {self._lines} lines: {self._head!r}{self._tail!r}")
        if not self._has_head:
            data = self._take_head(data)
        if not data:
            return self._sample(now) if self._has_head and self._has_ended() else None
        self._first_at = self._first_at or now
        self._size += len(data)
        # CR LF is the framing's: a line may lie in two chunks, even its end alone in one.
        framing = data.count(_CRLF) + (self._tail[-1:] + data[:1] == _CRLF)
        self._lines += data.count(b"\n") - framing
        self._tail = (self._tail + data)[-512:] if len(data) < 512 else data[-512:]
        return self._sample(now) if self._has_ended() else None

    def _take_head(self, data: bytes) -> bytes:
        self._head += data
        head, separator, rest = self._head.partition(_HEAD_END)
        self._has_head = bool(separator)
        if not self._has_head:
            return b""
        self._head = head.lower() + _HEAD_END
        return rest

    def _has_ended(self) -> bool:
        if self._tail.endswith(_BODY_END):
            return True
        _, found, rest = self._head.partition(b"content-length:")
        return bool(found) and self._size >= int(rest.split(b"\r\n", 1)[0])

    def _sample(self, now: float) -> Sample:
        _, _, job_id = self._head.partition(_JOB_ID)
        is_whole = self._head.startswith(b"http/1.1 200") and b'"done":true' in self._tail
        self.asked += 1
        return Sample(
            self.asked - 1,
            self.sent_at,
            self._first_at - self.sent_at,
            now - self.sent_at,
            self._lines,
            self._size,
            is_whole,
            job_id.split(b"\r\n", 1)[0].strip().decode(),
        )


def run(load: Load) -> list[Sample]:
    """Carry out the load; every stream must end, well or badly, without long silence."""
    clients = [_Client(load) for _ in range(load.clients)]
    by_fd = {client.socket.fileno(): client for client in clients}
    began = time.monotonic() + 0.02
    due = [(began + load.spread_s * index / load.clients, fd) for index, fd in enumerate(by_fd)]
    samples: list[Sample] = []
    with select.epoll() as poll:
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        while len(samples) < load.clients * load.streams_each:
            _begin_due(due, by_fd)
            wait_s = min(due[0][0] - time.monotonic(), SILENCE_LIMIT_S) if due else SILENCE_LIMIT_S
            ready = poll.poll(max(wait_s, 0))
            if not ready and not due:
                raise TimeoutError(f"no byte came for {SILENCE_LIMIT_S:g} s")
            for fd, _ in ready:
                sample = by_fd[fd].take()
                if sample is not None:
                    samples.append(sample)
                    if by_fd[fd].asked < load.streams_each:
                        pause_s = random.uniform(0, load.pause_s)
                        heapq.heappush(due, (time.monotonic() + pause_s, fd))
    for client in clients:
        client.socket.close()
    return samples


def _begin_due(due: list[tuple[float, int]], by_fd: dict[int, _Client]) -> None:
    while due and due[0][0] <= time.monotonic():
        by_fd[heapq.heappop(due)[1]].ask()


def main() -> None:
    """Read a load on stdin, print its samples: the load's own process."""
    load = Load(**json.load(sys.stdin))
    gc.disable()
    json.dump([list(asdict(sample).values()) for sample in run(load)], sys.stdout)


if __name__ == "__main__":
    main()
