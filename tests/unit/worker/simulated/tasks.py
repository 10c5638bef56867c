"""Celery and its runs, on a target that may die."""

from dataclasses import dataclass

from foreman.errors import ForemanError, JobCancelled, TargetCut
from foreman.worker import effects, events
from foreman.worker.state import Setup
from tests.unit.worker.memory import Memory
from tests.unit.worker.simulated.broker import Row, WithBroker


@dataclass(slots=True)
class Run:
    """A task of Celery's."""

    tag: int
    row: Row
    is_ready: bool
    is_claimed: bool = False
    is_over: bool = False
    stopped_by: ForemanError | None = None


class WithTasks(WithBroker):
    """Claims rows, and keeps the target at work."""

    def __init__(self, setup: Setup, memory: Memory, seed: int) -> None:
        super().__init__(setup, seed)
        self.memory = memory
        self.runs: dict[int, Run] = {}
        self.own_loads = 0  # the target loaded for a request, and nobody had asked it to
        self._dropped: set[int] = set()

    def _do_startrun(self, effect: effects.StartRun) -> None:
        held = self._held.get(effect.tag)
        if held is None:  # its connection is gone
            self._say(f"run {effect.tag}", events.Unclaimed(effect.tag, False), self.soon())
            return
        if self.random.random() < self.faults.dropped_tasks:
            self._dropped.add(effect.tag)
            return
        run = Run(effect.tag, self.rows[held.job_id or ""], effect.is_ready)
        self.runs[effect.tag] = run
        self.after(self.soon(0.001, 0.02), lambda: self._claim(run))

    def _claim(self, run: Run) -> None:
        row, tag = run.row, run.tag
        if not self.faults.has_database or not row.waits:
            run.is_over = True
            event = events.Unclaimed(tag, is_looked_at=self.faults.has_database)
            self._say(f"run {tag}", event, 0.0001)
            return
        row.is_claimed = run.is_claimed = True
        claimed = events.Claimed(
            tag=tag,
            model=row.residency.model,
            residency=row.residency,
            waited_s=self.now - row.came_at,
            attempts_left=2,
        )
        self._say(f"run {tag}", claimed, 0.0001)
        if run.is_ready:
            self.after(0.0002, lambda: self._work(run))

    def _do_proceed(self, effect: effects.Proceed) -> None:
        run = self.runs[effect.tag]
        if effect.error is not None:
            self._end(run, effect.error)
        else:
            self._work(run)

    def _do_stoprun(self, effect: effects.StopRun) -> None:
        run = self.runs.get(effect.tag)
        if run is not None and not run.is_over:
            self.after(self.soon(), lambda: self._end(run, effect.error))

    def _work(self, run: Run) -> None:
        if run.is_over:
            return
        row, memory = run.row, self.memory
        if not memory.is_alive:
            self._end(run, TargetCut())
            return
        if self.faults.is_sick:
            self.after(2.0, lambda: self._end(run, TargetCut()))
            return
        run_s = row.run_s
        if not memory.has(row.residency):
            self.own_loads += 1
            memory.make_room(row.residency)
            run_s += memory.load_s
        row.started_at = self.now
        memory.begin(run.tag, row.residency, unloads=row.unloads)
        life = memory.life
        self.after(run_s, lambda: self._end(run, None if memory.life == life else TargetCut()))

    def _end(self, run: Run, error: ForemanError | None) -> None:
        """The run is over; a job that may start over gets a new message."""
        if run.is_over:
            return
        run.is_over, row = True, run.row
        self.memory.end(run.tag)
        ended = events.Ended(tag=run.tag, error=error, has_bytes=error is None, unloads=row.unloads)
        self._say(f"run {run.tag}", ended, 0.0002)
        if error is None or isinstance(error, JobCancelled):
            row.is_over = True
            return
        row.is_claimed = False
        if isinstance(error, TargetCut) and not self.memory.is_alive:
            self._say("target", events.Reached(False), 0.0)
        self.after(self.soon(0.01, 0.1), lambda: self._send(row))
