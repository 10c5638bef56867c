"""Who waits, counted: the rows as they were last read, and what this process accepted since.

With several web processes each counts what the others accept a moment later: the limits are
exceeded by what they accept within one reading.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from foreman.core.waiting import Waiting


class _Tally:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # by residency's queue
        self.total = 0
        self.queues: defaultdict[str, set[str]] = defaultdict(set)  # by model

    def add(self, queue: str, model: str, count: int) -> None:
        self.counts[queue] += count
        self.total += count
        self.queues[model].add(queue)


class Room:
    """How many jobs wait, and in how many residencies. Every question takes the same short time."""

    def __init__(self) -> None:
        self._known = _Tally()
        self._since: list[tuple[str, str]] = []  # accepted since the reading began

    @property
    def total(self) -> int:
        """Jobs that wait in all."""
        return self._known.total

    @property
    def residencies(self) -> int:
        """Residencies with waiting jobs in all."""
        return len(self._known.counts)

    def count(self, queue: str) -> int:
        """Jobs that wait for one residency."""
        return self._known.counts.get(queue, 0)

    def queues_of(self, model: str) -> Collection[str]:
        """The residencies of a model that have waiting jobs."""
        return self._known.queues.get(model, ())

    def add(self, queue: str, model: str) -> None:
        """Count a job that is accepted now."""
        self._known.add(queue, model, 1)
        self._since.append((queue, model))

    def begin_reading(self) -> None:
        """The rows are about to be read: what is added from here on may not be among them."""
        self._since = []

    def end_reading(self, waiting: Iterable[Waiting]) -> None:
        """These rows were read. What was added meanwhile may count twice, until the next time."""
        tally = _Tally()
        for each in waiting:
            tally.add(each.queue, each.model, each.count)
        for queue, model in self._since:
            tally.add(queue, model, 1)
        self._known = tally
