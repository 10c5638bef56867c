"""The listener: it accepts, hands exchanges to the application, and can refuse for a while."""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent import pywsgi
from gevent import socket as gevent_socket

from foreman.simulation.connection import ClientGone, Exchange, Severed

log = logging.getLogger(__name__)

Application = Callable[[Exchange], None]


class _Listener(pywsgi.WSGIServer):
    """A listener that knows its idle connections and whether it was closed."""

    def __init__(self, listener: Any, answer: Application) -> None:
        # pywsgi wants an application; ours is asked by the handler, without WSGI in between.
        super().__init__(listener, lambda *_: (), log=None, error_log=log)
        self.answer = answer
        self.idle: set[Any] = set()
        self.is_closed = False

    def handle(self, client: Any, address: Any) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Handler(client, address, self).handle()


class _Handler(pywsgi.WSGIHandler):
    """pywsgi's connection, with our own way to answer."""

    close_connection: bool

    def __init__(self, client: Any, address: Any, listener: _Listener) -> None:
        super().__init__(client, address, listener)
        self._listener = listener

    def handle_one_request(self) -> Any:
        self._listener.idle.add(self.socket)
        try:
            return super().handle_one_request()
        finally:
            self._listener.idle.discard(self.socket)

    def handle_one_response(self) -> None:
        self._listener.idle.discard(self.socket)
        exchange = Exchange(self.environ or {}, self.socket, self.request_version == "HTTP/1.0")
        exchange.must_close = self.close_connection is True
        try:
            self._listener.answer(exchange)
            # What the route did not read of the body stands before the next request.
            for _ in exchange.pieces():
                pass
        except (ClientGone, Severed, OSError):
            exchange.must_close = True
        except Exception:
            log.exception("simulated ollama failed on a request")
            self._recover(exchange)
        self.close_connection = exchange.must_close or self._listener.is_closed

    def _recover(self, exchange: Exchange) -> None:
        """As gin does after a panic: 500 without a body, if there is still time for it."""
        exchange.must_close = True
        if not exchange.has_begun:
            with suppress(ClientGone):
                exchange.reply(500)


class Server:
    """One address; behind it a listener that comes and goes."""

    def __init__(self, host: str, port: int, application: Application) -> None:
        self._application = application
        self._host = host
        self._listener = self._listen(port)
        self.port: int = self._listener.socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def refuse(self, seconds: float) -> None:
        """Refuse connections for so long. Idle ones are closed; exchanges that run go on."""
        closed = self._listener
        closed.is_closed = True
        closed.close()
        for client in list(closed.idle):
            client.shutdown(socket.SHUT_RDWR)
        gevent.spawn_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> _Listener:
        sock = gevent_socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self._host, port))
        sock.listen(1024)
        listener = _Listener(sock, self._application)
        listener.start()
        return listener
