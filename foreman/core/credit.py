"""Flow control of one stream: how many bytes may be on their way from a worker to a client.

The worker sends until a window is full, then it stops reading from the target. The web process
reports what its client has taken; an answer that fits into the window needs no report at all.
Counts are totals since the beginning of a run, so that a lost report is made up for by the next.
"""

from dataclasses import dataclass

# Of all streams to one web process together. Valkey and Redis drop a subscriber that is 32 MiB
# behind, or 8 MiB for a minute (`client-output-buffer-limit pubsub`), and all its streams with it.
IN_FLIGHT_BYTES = 8 * 1024 * 1024
# With less, a fast stream would spend its time waiting for reports.
LEAST_WINDOW_BYTES = 128 * 1024


def window_bytes(wanted: int, *, slots: int) -> int:
    """The window of each stream, where so many may run at once on all targets together."""
    return max(min(wanted, IN_FLIGHT_BYTES // slots), LEAST_WINDOW_BYTES)


@dataclass
class Window:
    """The worker's side: what was sent, and what is known to have been taken."""

    size_bytes: int
    sent_bytes: int = 0
    taken_bytes: int = 0

    @property
    def is_open(self) -> bool:
        """Whether another frame may go; one that is larger than the window goes alone."""
        return self.sent_bytes - self.taken_bytes < self.size_bytes

    def credit(self, taken_bytes: int) -> bool:
        """Note a report; whether it says anything new."""
        is_news = taken_bytes > self.taken_bytes
        self.taken_bytes = max(self.taken_bytes, taken_bytes)
        return is_news


@dataclass
class Receipt:
    """The web side: what the client has taken of one run, and what of it was reported."""

    size_bytes: int  # of the window
    fence: int = 0
    taken_bytes: int = 0
    reported_bytes: int = 0
    is_asked: bool = False  # the worker waits, and wants to know

    def take(self, fence: int, size_bytes: int) -> int | None:
        """The client has taken bytes of a run; the total to report now, or None."""
        if fence != self.fence:
            self.fence, self.taken_bytes, self.reported_bytes = fence, 0, 0
        self.taken_bytes += size_bytes
        unreported = self.taken_bytes - self.reported_bytes
        if unreported < self.size_bytes // 2 and not self.is_asked:
            return None
        self.reported_bytes, self.is_asked = self.taken_bytes, False
        return self.taken_bytes
