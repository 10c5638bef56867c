"""The client's connection under gunicorn: read its body with limits, notice that it left.

A departure must be noticed although nothing is being written: a watcher waits until the socket can
be read and peeks. What is there besides an end is a pipelined request, and then the client is not
gone.
"""

import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gevent
from flask import Flask, Response, current_app, request
from gevent.socket import wait_read

from foreman.api.budget import UNCOUNTED_BYTES, Budget, Reservation
from foreman.errors import BodiesFull, BodyTooLarge, BodyTooSlow, RequestRefused

PIECE_BYTES = 256 * 1024
# Of a body that is refused: so much is taken in, and for so long.
DROPPED_BYTES = 16 * 1024 * 1024
DROP_LIMIT_S = 30.0
# A body may come slowly, but not more slowly than this.
SLOWEST_BYTES_PER_S = 32 * 1024
# A watcher that sees pipelined bytes looks again after this time.
PIPELINED_PAUSE_S = 0.2

# Where an application and a request keep what belongs to them.
_BUDGET, _SLOW_S, _RESERVATION = "foreman.budget", "foreman.slow_s", "foreman.reservation"


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


def limit_bodies(app: Flask, budget: Budget, *, slow_s: float) -> None:
    """Count the bodies of this application's requests against a budget.

    A body has `slow_s` to arrive, and as long again as SLOWEST_BYTES_PER_S makes of its size.
    """
    app.extensions[_BUDGET] = budget
    app.extensions[_SLOW_S] = slow_s
    app.teardown_request(lambda _: release_body())


def new_reservation() -> Reservation:
    """A part of the budget, for who reads a body by himself and releases it himself."""
    return Reservation(current_app.extensions[_BUDGET])


def release_body() -> None:
    """Release what `read_body` has reserved: to be called as soon as nobody holds the body.

    At the latest it happens at the end of the request's handler.
    """
    if (held := request.environ.pop(_RESERVATION, None)) is not None:
        held.release()


def read_body(limit_bytes: int) -> bytes:
    """The whole request body; an error when it is too large, does not come or finds no room."""
    size = request.content_length or 0
    body = io.BytesIO()  # it grows in place, and gives away its bytes without a copy
    held = request.environ[_RESERVATION] = new_reservation()
    with _within(_arrival_limit_s(size or limit_bytes)):
        try:
            if size <= limit_bytes:
                current_app.extensions[_BUDGET].check_room(size)
            for piece in body_pieces(limit_bytes, reserve=held.resize):
                body.write(piece)
            held.resize(body.tell())
        except BodiesFull:
            body.close()
            held.release()
            _drop(DROPPED_BYTES)
            raise
    return body.getvalue()


def body_pieces(
    limit_bytes: int | None,
    *,
    piece_bytes: int = PIECE_BYTES,
    reserve: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """The request body piece by piece, as it arrives; without a limit when that is None.

    A piece comes when it is full: small ones come sooner. `reserve` is called before each with the
    bytes that have come by then, this piece included.
    """
    size = request.content_length
    if limit_bytes is not None and (size or 0) > limit_bytes:
        _drop(DROPPED_BYTES)
        raise BodyTooLarge(f"the request body has {size} bytes; {limit_bytes} are allowed")
    received = 0
    while True:
        wanted = min(piece_bytes, piece_bytes if received else UNCOUNTED_BYTES)
        end = size if size is not None else limit_bytes
        if reserve is not None:
            reserve(received + wanted if end is None else min(received + wanted, end))
        if not (piece := _read_piece(wanted)):
            break
        received += len(piece)
        if limit_bytes is not None and received > limit_bytes:
            _drop(DROPPED_BYTES)
            raise BodyTooLarge(f"the request body has more than {limit_bytes} bytes")
        yield piece
    if received < (size or 0):
        raise RequestRefused(f"the request body ended after {received} of {size} bytes")


def _arrival_limit_s(size_bytes: int) -> float:
    """How long a body of this size may take, however steadily it comes.

    Without a limit a few clients that send a byte a minute would hold the whole budget for good.
    """
    slow_s: float = current_app.extensions[_SLOW_S]
    return slow_s + size_bytes / SLOWEST_BYTES_PER_S


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """Raise BodyTooSlow inside when the time is over."""
    if _socket() is None:  # no server, no event loop: a test's whole request
        yield
        return
    with gevent.Timeout(limit_s, BodyTooSlow()):
        yield


def _drop(size_bytes: int) -> None:
    """Take what comes: a client that is still sending would see a reset, and not the answer.

    One that waits for the permission to send is not given it.
    """
    if getattr(request.environ["wsgi.input"], "is_awaited", False):
        return
    with suppress(RequestRefused), _within(DROP_LIMIT_S):
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
