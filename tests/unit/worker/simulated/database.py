"""The database: the lease, and views of what waits."""

import itertools
import math
from dataclasses import replace

from foreman.core.lease import Lease
from foreman.core.outlook import Cost, Costs
from foreman.core.waiting import Waiting
from foreman.scheduling.room import Room
from foreman.worker import effects, events
from foreman.worker.state import Setup, View
from tests.unit.worker.memory import Memory
from tests.unit.worker.simulated.broker import Row
from tests.unit.worker.simulated.target import WithTarget

TARGET = "gpu"


class WithDatabase(WithTarget):
    """Answers a little later, or not at all."""

    def __init__(self, setup: Setup, memory: Memory, room: Room, seed: int) -> None:
        super().__init__(setup, memory, seed)
        self.first_room = room
        self.models: set[str] = set()  # what the target's list names
        self.kept: set[str] = set()
        self._fence = itertools.count(1)
        self._lease_until = -math.inf

    def _do_acquire(self, effect: effects.Acquire) -> None:
        began_at = self.now
        is_free = self.faults.has_database and self._lease_until <= self.now
        if not is_free:
            self._say("told", events.NotLeased(), self.soon())
            return
        lease = Lease(TARGET, next(self._fence))
        self._lease_until = self.now + self.state.setup.lease_s
        residents = tuple((each.queue, each.model) for each in self.memory.residencies())
        stated = self.first_room
        room = replace(
            self.state.room, residents=stated.residents, memory_bytes=stated.memory_bytes
        )
        self._say("told", events.Leased(lease, began_at, residents, room), self.soon())
        self.after(self.state.setup.lease_s / 3, lambda: self._renew(lease))

    def _renew(self, lease: Lease) -> None:
        if self.state.lease != lease:
            return
        if self.faults.has_database:
            self._lease_until = self.now + self.state.setup.lease_s
            self._say("lease", events.Renewed(lease, self.now), self.soon())
        self.after(self.state.setup.lease_s / 3, lambda: self._renew(lease))

    def take_lease(self) -> None:
        """Somebody else has the target from now on, for a second."""
        if self.state.lease is not None:
            self._lease_until = self.now + 1.0
            self._say("lease", events.LeaseLost(self.state.lease), self.soon())

    def _do_release(self, effect: effects.Release) -> None:
        self._lease_until = -math.inf

    def _do_look(self, effect: effects.Look) -> None:
        view = self._read() if self.faults.has_database else None
        self._say("database", events.Viewed(effect.lease, view), self.soon(0.001, 0.03))

    def _read(self) -> View:
        heads: dict[str, Row] = {}
        for row in self.rows.values():
            if row.waits and (row.name not in heads or row.came_at < heads[row.name].came_at):
                heads[row.name] = row
        waiting: dict[str, tuple[Waiting, ...]] = {}
        for row in heads.values():
            queue, model = row.residency.queue, row.residency.model
            wait_s = self.now - row.came_at
            each = Waiting(queue, row.job_class, None, model, wait_s, 1)
            waiting[queue] = (*waiting.get(queue, ()), each)
        costs = Costs({queue: Cost(self.memory.load_s, None) for queue in waiting})
        return View(
            self.now,
            0.002,
            waiting,
            frozenset(heads),
            costs,
            models=frozenset(self.models),
            kept=frozenset(self.kept),
        )
