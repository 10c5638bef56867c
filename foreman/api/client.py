"""The client's connection under gunicorn: read its body with limits, notice that it left.

A departure must be noticed although nothing is being written: a watcher waits until the socket can
be read and peeks. What is there besides an end is a pipelined request, and then the client is not
gone.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from flask import Flask, Response, request
from gevent.socket import wait_read

from foreman.errors import BodyTooLarge, BodyTooSlow, RequestRefused

PIECE_BYTES = 256 * 1024
# Of a body that is too large.
DROPPED_BYTES = 16 * 1024 * 1024
# A watcher that sees pipelined bytes looks again after this time.
PIPELINED_PAUSE_S = 0.2


def _socket() -> socket.socket | None:
    return request.environ.get("gunicorn.socket")


def limit_idle_time(app: Flask, limit_s: float) -> None:
    """Let no read from a client and no write to it take longer than this, while it is served."""

    def limit() -> None:
        if (sock := _socket()) is not None:
            sock.settimeout(limit_s)

    def lift(response: Response) -> Response:
        if (sock := _socket()) is not None:
            # Between two requests gunicorn's own limit counts.
            response.call_on_close(partial(sock.settimeout, None))
        return response

    app.before_request(limit)
    app.after_request(lift)


def read_body(limit_bytes: int) -> bytes:
    """The whole request body; an error when it is too large or does not come."""
    return b"".join(body_pieces(limit_bytes))


def body_pieces(limit_bytes: int | None, *, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """The request body piece by piece, as it arrives; without a limit when that is None.

    A piece comes when it is full: small ones come sooner.
    """
    size = request.content_length or 0
    if limit_bytes is not None and size > limit_bytes:
        _drop(min(size, DROPPED_BYTES))
        raise BodyTooLarge(f"the request body has {size} bytes; {limit_bytes} are allowed")
    received = 0
    while piece := _read_piece(piece_bytes):
        received += len(piece)
        if limit_bytes is not None and received > limit_bytes:
            raise BodyTooLarge(f"the request body has more than {limit_bytes} bytes")
        yield piece
    if received < size:
        raise RequestRefused(f"the request body ended after {received} of {size} bytes")


def _drop(size_bytes: int) -> None:
    """Take what comes: a client that is still sending would see a reset, and not the answer."""
    with suppress(RequestRefused):
        while size_bytes > 0 and (piece := _read_piece(min(PIECE_BYTES, size_bytes))):
            size_bytes -= len(piece)


def _read_piece(size_bytes: int) -> bytes:
    try:
        piece: bytes = request.environ["wsgi.input"].read(size_bytes)
    except TimeoutError as exc:
        raise BodyTooSlow from exc
    except OSError as exc:
        raise RequestRefused("the request body could not be read") from exc
    return piece


class Departure:
    """Calls `on_gone` once when the client of this request hangs up; stopped by `close`."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        sock = _socket()
        self._watcher: Any = gevent.spawn(self._watch, sock) if sock is not None else None

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.kill(block=False)

    def _watch(self, sock: socket.socket) -> None:
        while True:
            try:
                wait_read(sock.fileno())
                if sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    gevent.sleep(PIPELINED_PAUSE_S)
                    continue
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                pass
            self._on_gone()
            return
