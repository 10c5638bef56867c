"""The head of one request, collected as it arrives: bounded in bytes, and each byte read once.

gunicorn's parser starts over with each piece that it reads. It gets the head when it is whole.
"""

import re

from foreman.refusals import HeadTooLarge, MalformedRequest, TargetTooLong

REQUEST_LINE_BYTES = 64 * 1024
HEAD_BYTES = 1024 * 1024

_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_REQUEST_LINE = re.compile(rb"([!-~]{1,20}) ([!-~\x80-\xff]+)")


class HeadBuffer:
    """What has arrived of a head; `feed` says when it is whole."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0
        self._has_line = False

    def __bytes__(self) -> bytes:
        """Everything that has arrived, with what follows the head."""
        return bytes(self._received)

    @property
    def has_begun(self) -> bool:
        """Whether anything other than empty lines has arrived."""
        return bytes(self._received[:2]) not in (b"", b"\r")

    def feed(self, piece: bytes) -> bool:
        """Take what arrived; True when the head is whole, and an error when it cannot be one."""
        self._received += piece
        if self._searched < len(b"\r\n"):
            self._skip_empty_lines()
        end = self._received.find(_END, max(self._searched - len(_END) + 1, 0))
        stop = len(self._received) if end < 0 else end
        if _BARE_LF.search(self._received, self._searched, stop):
            raise MalformedRequest("a line of the request's head does not end with CRLF")
        self._measure_line()
        if stop > HEAD_BYTES:
            raise HeadTooLarge(f"the head of the request has more than {HEAD_BYTES} bytes")
        self._searched = stop
        return end >= 0

    def request_line(self) -> tuple[str, str] | None:
        """Method and target as far as they can be read, for whoever reports an error."""
        found = _REQUEST_LINE.match(self._received[: REQUEST_LINE_BYTES + 1])
        return None if found is None else (found[1].decode(), found[2].decode("latin-1"))

    def _skip_empty_lines(self) -> None:
        # Some clients end a body with a CRLF that they do not count.
        while self._received.startswith(b"\r\n"):
            del self._received[:2]
            self._searched = 0

    def _measure_line(self) -> None:
        if self._has_line:
            return
        line = self._received.find(b"\r\n", max(self._searched - 1, 0), REQUEST_LINE_BYTES + 2)
        self._has_line = line >= 0
        # The CR of a line of the largest size may be there without its LF.
        if line < 0 and len(self._received) > REQUEST_LINE_BYTES + 1:
            raise TargetTooLong(f"the request line has more than {REQUEST_LINE_BYTES} bytes")
