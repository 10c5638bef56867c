"""The web side of one synchronous job: wait for its frames and give the client exactly one end.

The mailbox yields frames; here they become an answer. Three things may happen besides: the wait is
long (keep-alive bytes, after which errors are told in-band), the client leaves (the job is
cancelled), foreman itself fails (an error in the caller's own form).
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress

from foreman.adapters.inbox import Note
from foreman.core import headers as header_rules
from foreman.core.frames import (
    Failure,
    Frame,
    FrameKind,
    Head,
    Headers,
    Position,
    Verdict,
    decode_failure,
    decode_head,
)
from foreman.core.replies import (
    CONTENT_TYPES,
    KEEPALIVES,
    error_piece,
    framing_of,
    told_in_band,
)
from foreman.core.states import END_STATES, JobState
from foreman.errors import (
    ChannelLost,
    ClientLeft,
    DatabaseUnavailable,
    ForemanError,
    JobCancelled,
    ReaderTooSlow,
    ShuttingDown,
    StreamBroken,
    WaitedTooLong,
)
from foreman.logs import about_job
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer, failure_of
from foreman.services.cancel import cancel
from foreman.services.submit import Ticket
from foreman.store import jobs

log = logging.getLogger(__name__)

# An end that is in the database reaches the mailbox within this time, or not at all.
LATE_FRAMES_S = 2.0

_NOTES: dict[Note, type[ForemanError]] = {
    Note.GONE: ClientLeft,
    Note.OVERFLOW: ReaderTooSlow,
    Note.STOPPING: ShuttingDown,
}


class JobFailed(ForemanError):
    """A failure that the worker told: it carries its own status and code."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.status, self.code = failure.status, failure.code


class Follower:
    """Follows one job from its queue to the last byte of its answer."""

    def __init__(self, runtime: WebRuntime, ticket: Ticket) -> None:
        self._runtime = runtime
        self._ticket = ticket
        self._position = Position()
        self._has_ended = False
        self._framing = framing_of(ticket.request.route.dialect, streams=ticket.streams)
        self._start_by = time.monotonic() + runtime.settings.sync_wait_s
        self._heard_at = time.monotonic()
        self._held: Frame | Note | None = None  # taken from the mailbox, and not looked at yet

    def start(self) -> Answer:
        """Wait for the target's head and its first bytes, or commit to keep-alive bytes."""
        try:
            return self._start()
        except ForemanError as error:
            error.job_id = str(self._ticket.job_id)
            raise

    def _start(self) -> Answer:
        commit_at = time.monotonic() + self._patience_s()
        head: Head | None = None
        while (event := self._next(commit_at)) is not None:
            if isinstance(event, Head):
                head = event
            elif head is not None:
                return self._answer(head, event)
            else:
                raise ChannelLost("the answer came without its head")
        kind = ("Content-Type", CONTENT_TYPES[self._framing])
        return Answer(200, self._headers([kind]), self._after_keepalive(head))

    def leave(self) -> None:
        self._ticket.mailbox.close(Note.GONE)

    def close(self) -> None:
        """Forget the job; if it has not ended, nobody wants it any more."""
        self._runtime.inbox.forget(self._ticket.job_id)
        if not self._has_ended:
            self._has_ended = True
            cancel(self._runtime, self._ticket.job_id)

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

    # The two kinds of answer

    def _answer(self, head: Head, first: bytes) -> Answer:
        size = int(header_rules.find(head.headers, "content-length") or -1)
        if 0 <= size <= self._runtime.settings.stream_buffer_bytes:
            # Its length is promised, so an error could not be told any more: first get it whole.
            head, whole = self._whole(head, first)
            return Answer(head.status, self._headers(head.headers), iter([whole]))
        headers = self._headers(head.headers)
        return Answer(head.status, headers, self._streamed(first, can_tell=size < 0))

    def _streamed(self, first: bytes, *, can_tell: bool) -> Iterator[bytes]:
        last = first
        try:
            self._note_answering()
            yield first
            for chunk in self._rest():
                last = chunk
                yield chunk
        except ForemanError as error:
            if not can_tell:
                raise  # the connection is closed short of its promised length
            yield from self._told(error, last)
        finally:
            self.close()

    def _after_keepalive(self, head: Head | None) -> Iterator[bytes]:
        """Keep-alive bytes until the answer begins; then it, or its error in-band."""
        last = b""
        keepalive = KEEPALIVES[self._framing]
        every_s = self._runtime.settings.keepalive_every_s
        try:
            yield keepalive
            while not isinstance(event := self._next(time.monotonic() + every_s), bytes):
                if event is None:
                    yield keepalive
                else:
                    head = event
            if head is not None and head.status >= 400:
                head, body = self._whole(head, event)
                dialect = self._ticket.request.route.dialect
                yield told_in_band(self._framing, dialect, head.status, body)
                return
            self._note_answering()
            yield (last := event)
            for chunk in self._rest():
                yield (last := chunk)
        except ForemanError as error:
            yield from self._told(error, last)
        finally:
            self.close()

    def _told(self, error: ForemanError, last: bytes) -> Iterator[bytes]:
        with about_job(self._ticket.job_id):
            log.info("stream ended with an error", extra={"code": error.code, "error": str(error)})
        if not isinstance(error, ClientLeft):
            dialect = self._ticket.request.route.dialect
            yield error_piece(self._framing, dialect, failure_of(error), last=last)

    def _note_answering(self) -> None:
        self._position = Position(self._position.fence, self._position.seq, True)
        self._runtime.answering.put(self._ticket.job_id)

    # Frames

    def _whole(self, head: Head, first: bytes) -> tuple[Head, bytes]:
        """The whole answer; nothing was passed on, so the job may even run again meanwhile."""
        parts = [first]
        while not self._has_ended:
            event = self._next(float("inf"))
            if isinstance(event, Head):
                head, parts = event, []
            elif event is not None:
                parts.append(event)
        return head, b"".join(parts)

    def _rest(self) -> Iterator[bytes]:
        """The body's further bytes until its end."""
        while not self._has_ended:
            event = self._next(float("inf"))
            if isinstance(event, bytes) and event:
                yield event

    def _next(self, until: float) -> Head | bytes | None:
        """The next head or bytes (empty at the end); None at `until`; raises what ends it."""
        while True:
            now = time.monotonic()
            limit_s = min(until - now, self._start_by - now, self._quiet_limit_s())
            item, self._held = self._held or self._ticket.mailbox.take(limit_s), None
            if isinstance(item, Note):
                raise _NOTES[item]()
            if item is not None:
                self._heard_at = time.monotonic()
                event = self._take(item)
                if event is not None:
                    return event
            elif time.monotonic() >= until:
                return None
            else:
                self._look_after_silence()

    def _take(self, frame: Frame) -> Head | bytes | None:
        verdict = self._position.judge(frame)
        if verdict is Verdict.DROP:
            return None
        if verdict is Verdict.BROKEN:
            raise ChannelLost
        if verdict is Verdict.RESTART:
            self._start_by = float("inf")
        self._position = self._position.after(frame)
        if frame.kind is FrameKind.HEAD:
            return decode_head(frame.payload)
        if frame.kind is FrameKind.ERROR:
            self._has_ended = True
            raise JobFailed(decode_failure(frame.payload))
        self._has_ended = frame.kind is FrameKind.END
        return frame.payload

    # Silence

    def _quiet_limit_s(self) -> float:
        return max(self._heard_at + self._runtime.settings.lease_s - time.monotonic(), 0)

    def _look_after_silence(self) -> None:
        """The mailbox was quiet for long: see in the database whether the job still lives."""
        self._heard_at = time.monotonic()
        with suppress(DatabaseUnavailable):
            if time.monotonic() >= self._start_by:
                self._start_by = time.monotonic() + self._runtime.settings.lease_s
                self._expire()
            with self._runtime.database.statement() as connection:
                ending = jobs.read_ending(connection, self._ticket.job_id)
            if ending is None or ending.state in END_STATES:
                self._end_without_frames(ending)

    def _expire(self) -> None:
        with self._runtime.database.statement() as connection:
            if jobs.expire_job(connection, self._ticket.job_id):
                self._has_ended = True
                raise WaitedTooLong
        self._start_by = float("inf")  # it is working by now, and bounded otherwise

    def _end_without_frames(self, ending: jobs.Ending | None) -> None:
        self._held = self._ticket.mailbox.take(LATE_FRAMES_S)
        if self._held is not None:
            return
        self._has_ended = True
        if ending is None or ending.state is JobState.SUCCEEDED:
            raise ChannelLost
        if ending.state is JobState.EXPIRED:
            raise WaitedTooLong
        if ending.state is JobState.CANCELLED:
            raise JobCancelled
        raise StreamBroken(ending.error_message or "the job failed")
