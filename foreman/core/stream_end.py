"""How a streamed answer ended: whole, with an error that its target reported, or too early.

When its model dies, Ollama ends a stream of `/v1` without an error, and only the last event of the
dialect is missing. A stream of its own routes ends with an error line then; without `done: true`
it may be whole, since Ollama stops so when a token repeats for too long.

The bytes are only searched: JSON escapes line ends, so no text of a model looks like the beginning
of a line.
"""

import re

from foreman.core.frames import Head
from foreman.core.replies import Framing, stream_framing
from foreman.core.target_words import LIMIT_CHARS, error_words

# Longer than each of the patterns matches.
_OVERLAP_BYTES = 64
_DONE = re.compile(rb"\ndata: ?\[DONE\]")
_LAST_EVENTS = {
    "/v1/chat/completions": _DONE,
    "/v1/completions": _DONE,
    "/v1/responses": re.compile(
        rb'\n(?:event: ?|data: ?\{"type": ?")response\.(?:completed|incomplete|failed)'
    ),
    "/v1/messages": re.compile(rb'\n(?:event: ?|data: ?\{"type": ?")message_stop'),
}
_ERRORS = {
    Framing.LINES: re.compile(rb'\n\{"error": ?'),
    Framing.EVENTS: re.compile(rb'\ndata: ?\{(?:"error": ?|"type": ?"(?:error|response\.failed)")'),
}


class StreamEnd:
    """Sees one stream pass; without patterns it finds nothing, and the stream counts as whole."""

    def __init__(
        self, last_event: re.Pattern[bytes] | None = None, error: re.Pattern[bytes] | None = None
    ) -> None:
        self._last_event = last_event
        self._error = error
        self._error_line: bytes | None = None
        self._window = b"\n"  # the stream begins a line

    def feed(self, chunk: bytes) -> None:
        """Search the next bytes of the stream."""
        if self._error_line is not None:
            self._error_line = (self._error_line + chunk)[: 4 * LIMIT_CHARS]
            return
        self._window += chunk
        if self._error is not None and (found := self._error.search(self._window)):
            self._error_line = self._window[found.start() :]
        if self._last_event is not None and self._last_event.search(self._window):
            self._last_event = None
        self._window = self._window[-_OVERLAP_BYTES:]

    @property
    def error(self) -> str | None:
        """What the target reported as the end of its stream; None: no error."""
        if self._error_line is None:
            return None
        line = self._error_line.strip().partition(b"\n")[0]
        return error_words(line.removeprefix(b"data:"))

    @property
    def is_early(self) -> bool:
        """Whether the stream is not at its end, whatever its connection says."""
        return self._last_event is not None and self._error_line is None


def stream_end(endpoint: str, head: Head) -> StreamEnd:
    """What watches an answer of `endpoint` with this head."""
    framing = stream_framing(head)
    if head.status != 200 or framing is None:
        return StreamEnd()
    last_event = _LAST_EVENTS.get(endpoint) if framing is Framing.EVENTS else None
    return StreamEnd(last_event, _ERRORS[framing])
