"""An exchange with a target whose answer is short: so many bytes in so much time, or an error.

A target may send for ever, or a byte a second, and is never silent then.
"""

import threading
from collections.abc import Iterator
from typing import Any, Protocol

from foreman.core.frames import Head
from foreman.core.lengths import promised_length
from foreman.errors import AnswerTooLarge, TargetCut, TargetTimeout


class Exchange(Protocol):
    """What can be bounded: see `target.Call`."""

    is_aborted: bool

    def send(self, request: Any) -> Head: ...

    def chunks(self) -> Iterator[bytes]: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...


class BoundedCall:
    """An exchange with limits for its whole answer; to be closed in any case."""

    def __init__(self, call: Exchange, target: str, *, limit_s: float, limit_bytes: int) -> None:
        self._call = call
        self._target = target
        self._limit_s = limit_s
        self._limit_bytes = limit_bytes
        self._promised_bytes = 0
        self._is_late = False
        self._timer = threading.Timer(min(limit_s, threading.TIMEOUT_MAX), self._stop)
        self._timer.daemon = True

    @property
    def is_aborted(self) -> bool:
        return self._call.is_aborted

    def send(self, request: Any) -> Head:
        """Send the request and wait for status and headers; the time counts from here."""
        self._timer.start()
        try:
            head = self._call.send(request)
        except TargetCut:
            self._check_time()
            raise
        self._check_time()
        self._promised_bytes = promised_length(head.headers) or 0
        return head

    def chunks(self) -> Iterator[bytes]:
        """The body's bytes as they arrive; AnswerTooLarge in place of those beyond the limit.

        One that is announced as too large has none.
        """
        size = 0
        try:
            for chunk in self._call.chunks():
                size += len(chunk)
                if max(size, self._promised_bytes) > self._limit_bytes:
                    raise AnswerTooLarge(
                        f"the answer of target {self._target} has more than"
                        f" {self._limit_bytes} bytes"
                    )
                yield chunk
        except TargetCut:
            self._check_time()
            raise
        self._check_time()  # an answer without a length has ended then, too

    def abort(self) -> None:
        """Hang up; from any thread."""
        self._call.abort()

    def close(self) -> None:
        self._timer.cancel()
        self._call.close()

    def _stop(self) -> None:
        self._is_late = True
        self._call.abort()

    def _check_time(self) -> None:
        if self._is_late:
            raise TargetTimeout(
                f"target {self._target} did not answer completely within {self._limit_s:g} s"
            )
