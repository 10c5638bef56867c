"""Paths that do not queue: one of several targets answers, bytes through in both directions."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from foreman.adapters.bounded import BoundedCall
from foreman.adapters.target import Call, TargetRequest
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.replies import Framing, error_piece, stream_framing
from foreman.core.stream_end import StreamEnd, stream_end
from foreman.core.surface import dialect_of
from foreman.errors import AnswerIncomplete, TargetError, TargetUnreachable
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer, check_final, failure_of

log = logging.getLogger(__name__)

# For a whole answer that is short by its nature, also to a client that reads slowly.
ANSWER_LIMIT_S = 120.0


class Forwarding:
    """One request that a target answers directly, bytes through in both directions."""

    def __init__(
        self,
        runtime: WebRuntime,
        targets: Sequence[str],
        request: TargetRequest,
        *,
        limit_bytes: int | None = None,
    ) -> None:
        """The first of `targets` that takes the request answers it.

        `limit_bytes`: the answer may have no more, and it may not take long either. Such a request
        only reads, so another target is asked after any failure.
        """
        self._runtime = runtime
        self._request = request
        self._targets = list(targets)
        self._limit_bytes = limit_bytes
        self._has_left = False
        self._call = self._new_call()

    def _new_call(self) -> Call | BoundedCall:
        client, limit_bytes = self._runtime.targets[self._targets[0]], self._limit_bytes
        if limit_bytes is None:
            return client.call()
        return client.bounded_call(limit_s=ANSWER_LIMIT_S, limit_bytes=limit_bytes)

    def start(self) -> Answer:
        """Wait for status and headers; what went wrong at the last target, when none answers."""
        while True:
            try:
                return self._ask()
            except TargetError as error:
                if isinstance(error, TargetUnreachable):
                    self._runtime.catalog.lose(self._targets[0], str(error))
                elif self._limit_bytes is None:
                    raise  # it may have done part of its work
                if len(self._targets) == 1:
                    raise
                self._call.close()
                del self._targets[0]
                self._call = self._new_call()
                if self._has_left:
                    raise

    def _ask(self) -> Answer:
        target = self._targets[0]
        head = self._call.send(self._request)
        check_final(head, target)
        chunks = self._call.chunks()
        # An answer that is short comes at once; what is wrong before its first byte has a status.
        first = next(chunks, b"") if self._limit_bytes is not None else b""
        self._request = replace(self._request, body=None)  # it is out; the answer may be long
        end = stream_end(self._request.path, head)
        head = Head(head.status, header_rules.of_target(head.headers))
        headers = [*head.headers, (header_rules.TARGET, target)]
        return Answer(head.status, headers, self._body(first, chunks, stream_framing(head), end))

    def _body(
        self, first: bytes, chunks: Iterator[bytes], framing: Framing | None, end: StreamEnd
    ) -> Iterator[bytes]:
        last = first
        try:
            if first:
                end.feed(first)
                yield first
            for last in chunks:
                end.feed(last)
                yield last
            if end.is_early:
                raise AnswerIncomplete
        except TargetError as error:
            if framing is None or self._call.is_aborted:
                raise  # the connection is closed short of what was promised, or by the client
            log.info("stream ended with an error", extra={"code": error.code, "error": str(error)})
            yield error_piece(framing, dialect_of(self._request.path), failure_of(error), last=last)
        finally:
            self.close()

    def leave(self) -> None:
        self._has_left = True
        self._call.abort()

    def close(self) -> None:
        self._call.close()
