"""The web side of one synchronous job: what its client gets, with exactly one end.

An answer ends with the target's own last bytes, or with one error in the form of its stream. Where
no error can be reported, because a length was promised or bytes of one JSON value are out, the
connection is closed early, and the client's library sees that.
"""

import logging
import time
from collections.abc import Iterator

from foreman.adapters.inbox import Note
from foreman.core import headers as header_rules
from foreman.core.frames import Head, Headers
from foreman.core.lengths import promised_length
from foreman.core.replies import (
    CONTENT_TYPES,
    KEEPALIVES,
    Framing,
    can_follow,
    error_piece,
    framing_of,
    stream_framing,
    told_in_band,
)
from foreman.errors import ChannelLost, ClientLeft, ForemanError
from foreman.logs import about_job
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer, failure_of
from foreman.services.cancel import cancel
from foreman.services.listening import Listener
from foreman.services.submit import Ticket

log = logging.getLogger(__name__)

# A client has FOREMAN_CLIENT_TIMEOUT for each piece: a slow one that reads is never cut off.
PIECE_BYTES = 32 * 1024
# Of a target's error that is reported inside a stream.
ERROR_LIMIT_BYTES = 64 * 1024


class Follower:
    """Follows one job from its queue to the last byte of its answer."""

    def __init__(self, runtime: WebRuntime, ticket: Ticket) -> None:
        self._runtime = runtime
        self._ticket = ticket
        self._dialect = ticket.request.route.dialect
        self._listener = Listener(runtime, ticket)
        self._last = b""  # of the target's bytes that the client has

    def start(self) -> Answer:
        """Wait for the target's head and its first bytes, or commit to keep-alive bytes."""
        try:
            return self._start()
        except ForemanError as error:
            error.job_id = str(self._ticket.job_id)
            raise

    def leave(self) -> None:
        self._ticket.mailbox.close(Note.GONE)

    def close(self) -> None:
        """Forget the job; if it has not ended, nobody wants it any more."""
        self._runtime.inbox.forget(self._ticket.job_id)
        if not self._listener.has_ended:
            self._listener.has_ended = True
            cancel(self._runtime, self._ticket.job_id)

    def _start(self) -> Answer:
        commit_at = time.monotonic() + self._patience_s()
        head: Head | None = None
        while (event := self._listener.next(commit_at)) is not None:
            if isinstance(event, bytes) and head is not None and self._is_short(head):
                event = self._gather(event, self._runtime.settings.stream_buffer_bytes + 1)
            if isinstance(event, Head):
                head = event
            elif head is not None:
                framing = stream_framing(head)
                body = self._passed_on(event, framing)
                return Answer(head.status, self._headers(head.headers), body)
            else:
                raise ChannelLost("the answer came without its head")
        framing = framing_of(self._dialect, streams=self._ticket.streams)
        kind = ("Content-Type", CONTENT_TYPES[framing])
        return Answer(200, self._headers([kind]), self._after_keepalive(head, framing))

    def _patience_s(self) -> float:
        settings = self._runtime.settings
        waits_visibly = settings.keepalive == "always" or (
            settings.keepalive == "streaming" and self._ticket.streams
        )
        return settings.keepalive_after_s if waits_visibly else float("inf")

    def _headers(self, of_target: Headers) -> Headers:
        """The headers of the answer: the target's, then ours."""
        passed = header_rules.for_client(of_target)
        job_id = (header_rules.JOB_ID, str(self._ticket.job_id))
        return [*header_rules.with_change(passed, self._ticket.change), job_id]

    def _is_short(self, head: Head) -> bool:
        """Whether an answer is passed on only when it is whole.

        Its length is promised, so no error could follow the first of its bytes.
        """
        length = promised_length(head.headers)
        return length is not None and length <= self._runtime.settings.stream_buffer_bytes

    # The two kinds of answer

    def _passed_on(self, first: bytes, framing: Framing | None) -> Iterator[bytes]:
        """The answer's bytes; an error is reported in its framing, if it has one."""
        try:
            yield from self._body(first)
        except ForemanError as error:
            yield from self._ended_by(error, framing)
        finally:
            self.close()

    def _after_keepalive(self, head: Head | None, framing: Framing) -> Iterator[bytes]:
        """Keep-alive bytes until the answer begins; then it, or its error in band."""
        keepalive = KEEPALIVES[framing]
        every_s = self._runtime.settings.keepalive_every_s
        try:
            yield keepalive
            event: Head | bytes | None = head
            while not isinstance(event, bytes):
                head = event or head
                event = self._listener.next(time.monotonic() + every_s)
                if event is None:
                    yield keepalive
                elif isinstance(event, bytes) and head and not can_follow(framing, head):
                    event = self._gather(event, ERROR_LIMIT_BYTES)
            if head is None:
                raise ChannelLost("the answer came without its head")
            if can_follow(framing, head):
                yield from self._body(event)
            else:
                yield told_in_band(framing, self._dialect, head.status, event)
        except ForemanError as error:
            yield from self._ended_by(error, framing)
        finally:
            self.close()

    def _ended_by(self, error: ForemanError, framing: Framing | None) -> Iterator[bytes]:
        """The error as the last thing of the stream; raised again where that cannot be."""
        with about_job(self._ticket.job_id):
            log.info("stream ended with an error", extra={"code": error.code, "error": str(error)})
        is_in_value = framing is Framing.WHOLE and self._last
        if framing is None or is_in_value or isinstance(error, ClientLeft):
            raise error
        yield error_piece(framing, self._dialect, failure_of(error), last=self._last)

    # The bytes

    def _body(self, first: bytes) -> Iterator[bytes]:
        """The target's bytes up to its end, in pieces that a slow client has time for."""
        self._listener.note_answering()
        event: Head | bytes | None = first
        while True:
            if isinstance(event, bytes):
                for start in range(0, len(event), PIECE_BYTES):
                    self._last = event[start : start + PIECE_BYTES]
                    yield self._last
                    # It asks for more: the client has this piece.
                    self._listener.note_taken(len(self._last))
            if self._listener.has_ended:
                return
            event = self._listener.next(float("inf"))

    def _gather(self, first: bytes, limit_bytes: int) -> bytes | Head:
        """The answer whole, or its beginning; or the head of a newer run in its place.

        Nothing of it was passed on, so the job may even start over meanwhile.
        """
        parts, size = [first], len(first)
        self._listener.note_taken(len(first))
        while size < limit_bytes and not self._listener.has_ended:
            event = self._listener.next(float("inf"))
            if isinstance(event, Head):
                return event
            if event:
                parts.append(event)
                size += len(event)
                self._listener.note_taken(len(event))
        return b"".join(parts)
