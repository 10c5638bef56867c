"""How many bytes of request bodies one web process holds at once.

A body is counted from before it is read until nobody needs it any more: it is in the database, or
with a target. Nothing here waits: what finds no room is refused.
"""

from foreman.errors import BodiesFull

# A body up to this size is not counted, so that uploads cannot keep ordinary requests out. All
# connections that a process accepts can hold 125 MiB in such bodies.
UNCOUNTED_BYTES = 64 * 1024


class Budget:
    """The room for all bodies of one process."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def check_room(self, size_bytes: int) -> None:
        """Raise BodiesFull when a body of this size finds no room now."""
        if size_bytes > UNCOUNTED_BYTES and size_bytes > self.limit_bytes - self.held_bytes:
            raise BodiesFull


class Reservation:
    """The part of a budget that one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size_bytes = 0

    def resize(self, size_bytes: int) -> None:
        """Hold so many bytes; BodiesFull when there is no room, and then it is as it was."""
        counted = size_bytes if size_bytes > UNCOUNTED_BYTES else 0
        more = counted - self._size_bytes
        if more > self._budget.limit_bytes - self._budget.held_bytes:
            raise BodiesFull
        # No greenlet runs in between: this process has one thread.
        self._budget.held_bytes += more
        self._size_bytes = counted

    def release(self) -> None:
        """Hold nothing; may be called any number of times."""
        self.resize(0)
