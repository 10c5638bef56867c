"""Answers as Flask responses: streamed as they come, closed whatever happens."""

import errno
from collections.abc import Iterable, Iterator

from flask import Response

from foreman.api.client import Departure
from foreman.core.frames import Headers
from foreman.errors import ForemanError
from foreman.services.answer import Answer, Exchange


class _Body:
    """The body of an answer for the WSGI server, which calls `close` at the end of anything."""

    def __init__(self, chunks: Iterator[bytes], exchange: Exchange, departure: Departure) -> None:
        self._chunks = chunks
        self._exchange = exchange
        self._departure = departure

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except ForemanError as error:
            # gunicorn closes the connection for it, short of what was promised.
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error

    def close(self) -> None:
        self._departure.close()
        self._exchange.close()


def exchange_response(exchange: Exchange | Answer) -> Response:
    """Start an exchange and stream its answer; a client that leaves ends it at any moment."""
    if isinstance(exchange, Answer):
        return _response(exchange, exchange.body)
    departure = Departure(exchange.leave)
    try:
        answer = exchange.start()
    except BaseException:
        departure.close()
        exchange.close()
        raise
    return _response(answer, _Body(answer.body, exchange, departure))


def _response(answer: Answer, body: Iterable[bytes]) -> Response:
    response = Response(body, answer.status)
    # What the target did not send is not invented: no Content-Type for an empty answer.
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


def plain_response(status: int, text: str, headers: Headers | None = None) -> Response:
    """A short text of foreman's own, as Ollama's router writes it."""
    response = Response(text, status)
    response.headers["Content-Type"] = "text/plain"
    for name, value in headers or []:
        response.headers[name] = value
    return response
