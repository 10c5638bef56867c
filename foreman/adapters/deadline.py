"""A deadline for a whole exchange, and a socket that keeps it however little comes at a time."""

import io
import socket
import time
from typing import Any


class Deadline:
    """A point in time, by a clock that nobody sets."""

    def __init__(self, limit_s: float) -> None:
        self._began_at = time.monotonic()
        self._limit_s = limit_s

    @property
    def left_s(self) -> float:
        """Seconds that are left; TimeoutError when there are none."""
        left_s = self._began_at + self._limit_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    @property
    def spent_ms(self) -> int:
        return round((time.monotonic() - self._began_at) * 1000)


class TimedSocket(io.RawIOBase):
    """A socket to read from and send to until a deadline; TimeoutError after it.

    A socket's own timeout begins anew with every byte: a receiver that drips would hold us for
    hours.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left_s)
        return self._sock.recv_into(buffer)

    def sendall(self, content: bytes) -> None:
        unsent = memoryview(content)
        while unsent:
            self._sock.settimeout(self._deadline.left_s)
            unsent = unsent[self._sock.send(unsent) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads an answer from."""
        return io.BufferedReader(self)
