"""gunicorn's gevent worker with limits of its own for connections and for the heads of requests.

A connection that sends nothing costs a socket and a small greenlet, and no place of a request. The
health endpoints are answered however many requests are open.
"""

import logging
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import gevent
from gunicorn import util  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]  # it has no types
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]  # it has no types

from foreman.core.paths import HEALTH
from foreman.errors import Defect, ForemanError, ServerBusy
from foreman.front.connections import Connection, Connections, Limits, address_of
from foreman.front.head import HeadBuffer
from foreman.front.refused import RefusedRequest, refusal_of
from foreman.front.request import Request, Source
from foreman.refusals import HeadTooSlow

log = logging.getLogger(__name__)

# As many connections wait as requests run, and then some.
CONNECTIONS, REQUESTS = 4096, 2000
# For targets, database, broker and log. Each request needs one more, to its target.
OTHER_FILES = 256
# Connections beyond the limit: while all are busy, somebody may ask for the health.
SPARE = 64
# What is left of a body that nobody has read may take so long to arrive.
FINISH_S = 5.0
# A client that still sends would be reset by the end of its connection and lose its answer.
LINGER_S = 2.0
LINGER_BYTES = 128 * 1024 * 1024
_PIECE_BYTES = 256 * 1024

Served = Request | RefusedRequest


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take."""

    head_s: float  # from the opening, or from the first byte of a later request, to its head's end
    idle_s: float  # between two requests


class Worker(GeventWorker):  # type: ignore[misc]  # an untyped base
    """`foreman.serving` makes a subclass with its settings."""

    patience: ClassVar[Patience]
    per_address: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections = min(CONNECTIONS, max(_file_limit() - OTHER_FILES, SPARE) // 2)
        limits = Limits(connections, min(REQUESTS, connections), self.per_address)
        self._connections = Connections(limits)
        # What gunicorn accepts.
        self.worker_connections = connections + SPARE

    def handle(self, listener: Any, client: socket.socket, peer: Any) -> None:
        """Serve one connection to its end."""
        connection = Connection(address_of(peer), partial(_hang_up, client))
        self._connections.add(connection)
        try:
            self._serve(listener.getsockname(), connection, client, peer)
            _linger(client)
        except OSError as error:
            log.debug("connection lost", extra={"error": str(error)})
        except Exception:  # the outermost loop of this connection
            log.exception("connection failed")
        finally:
            self._connections.remove(connection)
            util.close(client)

    def _serve(
        self, listener_name: Any, connection: Connection, client: socket.socket, peer: Any
    ) -> None:
        source = Source(client)
        number = 1
        while request := self._next(source, client, peer, number):
            if connection.is_evicted:
                return
            with self._place(connection, request) as served:
                client.settimeout(None)
                goes_on = self._answer(listener_name, served, client, peer)
            if not (goes_on and isinstance(served, Request) and served.finish(FINISH_S)):
                return
            number += 1
            gevent.sleep(0)  # its next request may have arrived already: now it is the others' turn

    def _next(self, source: Source, client: socket.socket, peer: Any, number: int) -> Served | None:
        """The next request; None when the connection is over."""
        head = HeadBuffer()
        try:
            if not self._receive(head, source, client, is_first=number == 1):
                return None
            source.unread(bytes(head))
            return Request(self.cfg, source, peer, number)
        except ParseException as exc:
            return RefusedRequest(refusal_of(exc), head.request_line())
        except ForemanError as error:
            return RefusedRequest(error, head.request_line())

    def _receive(
        self, head: HeadBuffer, source: Source, client: socket.socket, *, is_first: bool
    ) -> bool:
        """Wait until the head of a request is whole; False when there will be none."""
        starts_now = is_first
        deadline = time.monotonic() + (self.patience.head_s if is_first else self.patience.idle_s)
        while (limit_s := deadline - time.monotonic()) > 0:
            client.settimeout(limit_s)
            try:
                piece = source.read()
            except TimeoutError:
                break
            if not piece:
                return False
            if head.feed(piece):
                return True
            if head.has_begun and not starts_now:
                starts_now = True
                deadline = time.monotonic() + self.patience.head_s
        if head.has_begun:
            raise HeadTooSlow
        # Nobody is asked why nothing came: an answer would be taken for that of the next request.
        return False

    @contextmanager
    def _place(self, connection: Connection, request: Served) -> Iterator[Served]:
        """Count the request while it is served; what has no place is refused."""
        has_body = isinstance(request, Request) and request.has_body
        reason = self._connections.begin(connection, has_body=has_body)
        if isinstance(request, Request):
            request.on_piece = partial(self._connections.progress, connection)
        try:
            if reason is None or request.path in HEALTH:
                yield request
            else:
                busy = ServerBusy(f"server busy, please try again: {reason}")
                yield RefusedRequest(busy, (request.method, request.uri))
        finally:
            self._connections.end(connection)

    def _answer(
        self, listener_name: Any, request: Served, client: socket.socket, peer: Any
    ) -> bool:
        """Let the application answer; False when the connection ends with this."""
        try:
            self.handle_request(listener_name, request, client, peer)
        except StopIteration:
            return False
        except OSError:
            raise
        except Exception:  # nothing was sent yet: gunicorn ends an answer that has begun by itself
            log.exception("request failed")
            refused = RefusedRequest(Defect(), (request.method, request.uri))
            return not isinstance(request, RefusedRequest) and self._answer(
                listener_name, refused, client, peer
            )
        return True


def _file_limit() -> int:
    """The number of files that this process may open, after raising it as far as is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _linger(client: socket.socket) -> None:
    """Close for writing, and drop what still comes, for a while."""
    client.shutdown(socket.SHUT_WR)
    give_up_at = time.monotonic() + LINGER_S
    dropped = 0
    while dropped < LINGER_BYTES and (limit_s := give_up_at - time.monotonic()) > 0:
        client.settimeout(limit_s)
        piece = client.recv(_PIECE_BYTES)
        if not piece:
            return
        dropped += len(piece)
