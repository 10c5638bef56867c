"""A world around `step`: a broker, rows, Celery, a target and clocks, simulated event by event.

Whatever the worker asks for takes a random time and comes back as an event; what is random follows
from one seed. At each step the world checks what a worker promises, and says what was broken.
"""

from dataclasses import replace

from foreman.core.queues import JobClass
from foreman.scheduling.bound import count_ahead, longest_turn, promised_by
from foreman.scheduling.room import Room
from foreman.scheduling.victims import PATIENCE_LOADS
from foreman.worker import effects, events
from foreman.worker.effects import Effect
from foreman.worker.state import Idle, Setup, Stage
from foreman.worker.steps.plan import demands_of
from tests.unit.worker.memory import Memory
from tests.unit.worker.simulated.database import WithDatabase


class World(WithDatabase):
    """All of it, and what it promises."""

    def __init__(self, setup: Setup, memory: Memory, room: Room, *, seed: int = 0) -> None:
        super().__init__(setup, memory, room, seed)
        self.first_memory = repr(memory)
        self.watches_promises = False
        self._promises: dict[str, float] = {}  # by queue: when it is loaded at the latest
        self._stuck_since: float | None = None

    def __repr__(self) -> str:
        """What makes this world the same one again."""
        return f"World({self.first_memory}, {self.first_room}, seed={self.seed})"

    def start(self) -> None:
        self._tell(events.Tick())
        self._say("broker", events.Connected(True), 0.001)
        self._say("target", events.Reached(True), 0.002)

    def stop(self) -> None:
        self._say("celery", events.StopAsked(), 0.001)

    def run_until_served(self, limit_s: float) -> None:
        """Until nothing waits and nothing runs, and a little longer."""
        end = self.now + limit_s
        while self.now < end and (self.unserved() or self.state.jobs):
            self.run(self.now + 1.0)
        self.run(self.now + 4.0)

    # What is promised at each step

    def _check(self, done: list[Effect]) -> None:
        state = self.state
        if state.is_stopping:
            pulls = [each.wish for each in done if isinstance(each, effects.Pull)]
            assert all(isinstance(each, Idle) for each in pulls), "a stopping worker takes nothing"
        for queue in state.residents if state.lease else ():
            jobs = [job for job in state.jobs.values() if job.queue == queue]
            # A task that was dropped, or is to stop, holds its slot until that is known.
            live = [job for job in jobs if job.tag not in self._dropped and not job.stopped_by]
            assert len(live) <= state.slots, f"too many of {queue}"
        load = state.load
        for queue in () if load is None else (*load.victims, *load.may_go):
            assert not state.running(queue), f"{queue} is to go and has jobs"
        handed = [job for job in state.jobs.values() if job.stage is Stage.LOADING]
        assert len(handed) <= 1 or any(job.stopped_by for job in handed), "one job a load"

        if self.watches_promises:
            self._check_promises()
            self._check_idle()

    def _check_promises(self) -> None:
        """Of all promises that could have been made, the earliest is kept."""
        state, rules = self.state, self.state.setup.rules
        taken = {*state.residents} | ({state.load.queue} if state.load else set())
        for queue in taken & set(self._promises):
            by = self._promises.pop(queue)
            assert self.now <= by, f"{queue} is loaded {self.now - by:.1f} s late"
        demands = {each.queue: each for each in demands_of(state) if each.queue not in taken}
        ahead = count_ahead(demands.values(), taken)
        turn = longest_turn(rules, [self.memory.load_s], places=self.memory.places)
        # What the messages of a turn take, and views, is not the rules' concern.
        turn = replace(turn, run_s=turn.run_s + 0.5)
        self._promises = {queue: by for queue, by in self._promises.items() if queue in demands}
        for queue, each in demands.items():
            classes = [JobClass.INTERACTIVE] if each.interactive_at is not None else []
            for job_class in classes or [JobClass.BATCH]:
                by = promised_by(
                    rules, each, job_class, now=self.now, turn=turn, ahead=ahead[queue]
                )
                self._promises[queue] = min(by, self._promises.get(queue, by))

    def _check_idle(self) -> None:
        """A target that could serve somebody does."""
        state = self.state
        lingers = any(each.lingers_since is not None for each in state.residents.values())
        is_busy = bool(state.jobs) or state.load is not None or lingers or not state.serves
        if is_busy or not any(demands_of(state)):
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = self.now
        else:
            # Rule 4b: next to other residents an empty one is kept for some loads.
            patience_s = PATIENCE_LOADS * self.memory.load_s if len(state.residents) > 1 else 0.0
            stuck_s = self.now - self._stuck_since
            assert stuck_s < 1.5 + patience_s, "nothing runs although somebody waits"
