"""Rows, their messages, and the broker's thread."""

import itertools
from collections import Counter, deque
from dataclasses import dataclass

from foreman.core.queues import JobClass, Residency, class_queue
from foreman.worker import effects, events
from foreman.worker.state import Ask, Park, Setup
from tests.unit.worker.simulated.clock import WithClock

# So often a message is sent again of a row that still waits.
RELAY_S = 20.0
# The same message goes back only because something has changed meanwhile.
MOST_RETURNS_PER_S = 6


@dataclass(slots=True)
class Row:
    """A job; it is done, cancelled, or waits until a run claims it."""

    job_id: str
    residency: Residency
    job_class: JobClass
    came_at: float
    run_s: float
    unloads: bool = False
    is_claimed: bool = False
    is_over: bool = False
    started_at: float | None = None

    @property
    def name(self) -> str:
        return class_queue(self.residency.queue, self.job_class)

    @property
    def waits(self) -> bool:
        return not self.is_claimed and not self.is_over


@dataclass(slots=True)
class Settled:
    """What the broker gave out by one connection, and what became of it."""

    name: str
    job_id: str | None
    connection: int


class WithBroker(WithClock):
    """Messages may be late, lost, or come twice; each is settled once."""

    def __init__(self, setup: Setup, seed: int) -> None:
        super().__init__(setup, seed)
        self.rows: dict[str, Row] = {}
        self.queues: dict[str, deque[str]] = {}
        self.returns: Counter[tuple[int, str]] = Counter()  # by second and job
        self._held: dict[int, Settled] = {}  # unsettled messages
        self._gone: set[int] = set()  # tags of connections that were lost
        self._connection = 1
        self._pull: effects.Pull | None = None
        self._tags = itertools.count(1)

    def submit(
        self,
        model: str,
        run_s: float = 0.5,
        *,
        job_class: JobClass = JobClass.INTERACTIVE,
        options: str = "",
        unloads: bool = False,
    ) -> Row:
        """A job is accepted: its row is written, and its message sent."""
        residency = Residency(model, options)
        row = Row(f"j{len(self.rows)}", residency, job_class, self.now, run_s, unloads)
        self.rows[row.job_id] = row
        self._send(row)
        self.after(RELAY_S, lambda: self._relay(row))
        if self.random.random() < self.faults.double_messages:
            self._send(row)
        return row

    def cancel(self, row: Row) -> None:
        if row.waits:
            row.is_over = True
        else:
            self._say("control", events.CancelAsked(row.job_id), self.soon())

    def _send(self, row: Row) -> None:
        if self.random.random() < self.faults.lost_messages:
            return
        is_late = self.random.random() < self.faults.late_messages
        self.after(self.soon(0.01, 0.8) if is_late else self.soon(), lambda: self._arrive(row))

    def _relay(self, row: Row) -> None:
        """Whose message may be lost is sent another one, now and then."""
        if row.waits and row.job_id not in self.queued():
            self._arrive(row)
        if not row.is_over:
            self.after(RELAY_S, lambda: self._relay(row))

    def _arrive(self, row: Row) -> None:
        self.queues.setdefault(row.name, deque()).append(row.job_id)
        self._serve()

    # The broker's thread

    def _do_pull(self, pull: effects.Pull) -> None:
        self.after(self.soon(0.0001, 0.001), lambda: self._obey(pull))

    def _obey(self, pull: effects.Pull) -> None:
        if self._pull is not None and self._pull.number > pull.number:
            return
        self._pull = pull
        if isinstance(pull.wish, Ask):
            self.after(self.soon(0.0003, 0.003), lambda: self._ask(pull))
        else:
            self._serve()

    def _ask(self, pull: effects.Pull) -> None:
        if self._pull is not pull or not self.faults.has_broker:
            return
        self._pull = None
        assert isinstance(pull.wish, Ask)
        for name in pull.wish.names:
            if self.queues.get(name):
                self._bring(name, pull.number)
                return
        self._say("broker", events.Empty(pull.number), self.soon(0.0001, 0.0005))

    def _serve(self) -> None:
        """A parked consumer gets what there is; another one may bring a message as well."""
        pull = self._pull
        if pull is None or not isinstance(pull.wish, Park) or not self.faults.has_broker:
            return
        names = [name for name in sorted(pull.wish.names) if self.queues.get(name)]
        if names:
            self._pull = None
            for name in names[: 1 + (self.random.random() < 0.1)]:
                self._bring(name, pull.number)

    def _bring(self, name: str, number: int) -> None:
        tag, job_id = next(self._tags), self.queues[name].popleft()
        self._held[tag] = Settled(name, job_id, self._connection)
        self._say("broker", events.Message(tag, name, job_id, number), self.soon(0.0001, 0.002))

    def _settle(self, tag: int) -> Settled | None:
        held = self._held.pop(tag, None)
        if held is None:  # of an older connection, or settled twice
            assert tag in self._gone, f"message {tag} is settled twice"
        return held

    def _do_ack(self, effect: effects.Ack) -> None:
        self._settle(effect.tag)

    def _do_requeue(self, effect: effects.Requeue) -> None:
        held = self._settle(effect.tag)
        if held is not None and held.job_id is not None:
            key = int(self.now), held.job_id
            self.returns[key] += 1
            assert self.returns[key] <= MOST_RETURNS_PER_S, f"{held} goes back and forth"
            self.queues.setdefault(held.name, deque()).appendleft(held.job_id)
            self._serve()

    def lose_broker(self, seconds: float) -> None:
        """The connection breaks: what it brought goes back."""
        self.faults.has_broker, self._pull = False, None
        for tag, held in self._held.items():
            self._gone.add(tag)
            if held.job_id is not None:
                self.queues.setdefault(held.name, deque()).appendleft(held.job_id)
        self._held.clear()
        self._connection += 1
        self._say("broker", events.Connected(False), 0.001)
        self.after(seconds, self._find_broker)

    def _find_broker(self) -> None:
        self.faults.has_broker = True
        self._say("broker", events.Connected(True), 0.001)

    def queued(self) -> list[str]:
        """Jobs that have a message at the broker, or one that is unsettled."""
        held = [each.job_id for each in self._held.values() if each.job_id is not None]
        return held + [job_id for queue in self.queues.values() for job_id in queue]

    def unserved(self) -> list[Row]:
        return [row for row in self.rows.values() if not row.is_over]
