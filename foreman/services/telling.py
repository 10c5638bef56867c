"""The sink of a synchronous run: frames to the web process whose client waits."""

import logging

from foreman.adapters.channel import Outgoing
from foreman.core.frames import Failure, FrameKind, Head, encode_failure, encode_head
from foreman.core.gather.usage import Usage, usage_at_end
from foreman.core.splice import Spliced
from foreman.core.stream_end import StreamEnd, stream_end
from foreman.core.stream_request import StreamRequest
from foreman.errors import AnswerIncomplete, ChannelLost, TargetFailed
from foreman.services.sink import Outcome
from foreman.store.runs import Claim

log = logging.getLogger(__name__)


class ToldSink:
    """Hands every chunk on as it came, and keeps none but the last ones."""

    tokens = None

    def __init__(self, claim: Claim, outgoing: Outgoing) -> None:
        self._claim = claim
        self._outgoing = outgoing
        self._head = Head(0, [])
        self._end = StreamEnd()
        self._size_bytes = 0
        self._before, self._last = b"", b""
        self.is_seen = False

    def ask(self, body: bytes) -> StreamRequest:
        """These very bytes."""
        return StreamRequest(Spliced(body), streams=self._claim.streams)

    def begin(self, head: Head) -> None:
        self._head = head
        self._end = stream_end(self._claim.endpoint, head)

    def take(self, chunk: bytes) -> None:
        if not self.is_seen:
            # With the first bytes, not before: until then the job may run again unseen.
            self._send_head()
        self._size_bytes += len(chunk)
        self._before, self._last = self._last, chunk
        self._end.feed(chunk)
        self._outgoing.send(FrameKind.DATA, chunk)

    def credit(self, taken_bytes: int) -> None:
        self._outgoing.credit(taken_bytes)

    def stop(self) -> None:
        self._outgoing.stop()

    def finish(self) -> Outcome:
        """The body is at its end; TargetFailed, AnswerIncomplete when that is not the answer's."""
        if self._end.error is not None:
            raise TargetFailed(self._end.error)
        if self._end.is_early:
            raise AnswerIncomplete
        if not self.is_seen:
            self._send_head()
        self._outgoing.send(FrameKind.END, b"")
        # The client has its end: from here on the time is nobody's.
        is_ok = self._head.status == 200
        usage = usage_at_end(self._before + self._last) if is_ok else Usage()
        return Outcome(status=self._head.status, response_bytes=self._size_bytes, usage=usage)

    def fail(self, failure: Failure) -> Outcome:
        try:
            if self._end.error is not None:  # the client has the target's own error
                self._outgoing.send(FrameKind.END, b"")
            else:
                self._outgoing.send(FrameKind.ERROR, encode_failure(failure))
        except ChannelLost as error:
            log.warning("end not told", extra={"error": str(error)})
        return Outcome(response_bytes=self._size_bytes)

    def close(self) -> None:
        self._outgoing.close()

    def _send_head(self) -> None:
        self._outgoing.send(FrameKind.HEAD, encode_head(self._head))
        self.is_seen = True
