"""A world around `step`: a broker, rows, Celery, a target and clocks, simulated event by event.

Whatever the worker asks for takes a random time and comes back as an event; what is random follows
from one seed. At each step the world checks what a worker promises, and says what was broken.
"""

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from foreman.core.lease import Lease
from foreman.core.outlook import Cost, Costs
from foreman.core.queues import JobClass, Residency, class_queue
from foreman.core.waiting import Waiting
from foreman.errors import ForemanError, JobCancelled, LoadFailed, TargetCut
from foreman.scheduling.bound import count_ahead, longest_turn, promised_by
from foreman.scheduling.room import Room
from foreman.worker import effects, events
from foreman.worker.effects import Effect
from foreman.worker.events import Event
from foreman.worker.state import Ask, Idle, Park, Setup, Stage, State, View
from foreman.worker.step import step
from foreman.worker.steps.plan import demands_of
from tests.unit.worker.memory import Memory

TARGET = "gpu"
# Without an event from outside, a worker makes some steps a second by its own clocks.
MOST_TICKS_PER_S = 60
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
class Run:
    """A task of Celery's."""

    tag: int
    row: Row
    is_ready: bool
    is_claimed: bool = False
    is_over: bool = False
    stopped_by: ForemanError | None = None


@dataclass(slots=True)
class Faults:
    """What goes wrong; the probabilities are of one occasion each."""

    late_messages: float = 0.0
    lost_messages: float = 0.0
    double_messages: float = 0.0
    dropped_tasks: float = 0.0
    failed_loads: float = 0.0
    has_database: bool = True
    has_broker: bool = True
    is_sick: bool = False


@dataclass(slots=True)
class Settled:
    """What the broker gave out by one connection, and what became of it."""

    name: str
    job_id: str | None
    connection: int


class World:
    """Time goes from event to event; `run` lets it pass."""

    def __repr__(self) -> str:
        """What makes this world the same one again."""
        return f"World({self.first_memory}, {self.first_room}, seed={self.seed})"

    def __init__(self, setup: Setup, memory: Memory, room: Room, *, seed: int = 0) -> None:
        self.random, self.seed, self.first_memory = Random(seed), seed, repr(memory)
        self.faults = Faults()
        self.memory = memory
        self.first_room = room
        self.state = State(setup, 0.0)
        self.now = 0.0
        self.rows: dict[str, Row] = {}
        self.queues: dict[str, deque[str]] = {}
        self.runs: dict[int, Run] = {}
        self.loads: list[tuple[float, str]] = []  # when, and the queue
        self.models: set[str] = set()  # what the target's list names
        self.kept: set[str] = set()
        self.returns: Counter[tuple[int, str]] = Counter()  # by second and job
        self.ticks = 0  # in this second, with nothing else happening
        self._quiet_at = 0.0
        self.own_loads = 0  # the target loaded for a request, and nobody had asked it to
        self._held: dict[int, Settled] = {}  # unsettled messages
        self._connection = 1
        self._pull: effects.Pull | None = None
        self._fence = itertools.count(1)
        self._tags = itertools.count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lane_free_at = 0.0
        self._is_loading = False
        self._lease_until = -math.inf
        self._told_at: dict[str, float] = {}  # the last event of each thread: it keeps its order
        self.watches_promises = False
        self._promises: dict[str, float] = {}  # by queue: when it is loaded at the latest
        self._stuck_since: float | None = None
        self._dropped: set[int] = set()
        self._gone: set[int] = set()  # tags of connections that were lost

    # Time

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), act))

    def soon(self, least_s: float = 0.0002, most_s: float = 0.005) -> float:
        return self.random.uniform(least_s, most_s)

    def start(self) -> None:
        self._tell(events.Tick())
        self._say("broker", events.Connected(True), 0.001)
        self._say("target", events.Reached(True), 0.002)

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            at = self._agenda[0][0] if self._agenda else math.inf
            if min(at, self.state.wake_at) > until:
                self.now = until
                return
            if at <= self.state.wake_at:
                self.now, _, act = heapq.heappop(self._agenda)
                act()
            else:
                self.now = self.state.wake_at
                self._tick()

    def _tick(self) -> None:
        if self.now - self._quiet_at > 1:
            self.ticks, self._quiet_at = 0, self.now
        self.ticks += 1
        assert self.ticks < MOST_TICKS_PER_S, "the worker asks for steps"
        self._tell(events.Tick())

    def _say(self, thread: str, event: Event, seconds: float) -> None:
        """A thread tells the worker of it, in the order in which it saw things."""
        at = max(self.now + seconds, self._told_at.get(thread, 0.0))
        self._told_at[thread] = at
        self.after(at - self.now, lambda: self._tell(event))

    def _tell(self, event: Event) -> None:
        if not isinstance(event, events.Tick | events.Viewed | events.Observed | events.Empty):
            self.ticks = 0
        self.state, done = step(self.state, event, self.now)
        assert self.state.wake_at > self.now, f"{event} leads to a step at once"
        self._check(done)
        for effect in done:
            handler = getattr(self, f"_do_{type(effect).__name__.lower()}", None)
            if handler is not None:
                handler(effect)

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
            assert self.now - self._stuck_since < 1.5, "nothing runs although somebody waits"

    # Rows and their messages

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

    # Celery

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

    # The target

    def _do_loadmodel(self, effect: effects.LoadModel) -> None:
        begin_at = max(self.now, self._lane_free_at) + self.soon(0.001, 0.01)
        self.after(begin_at - self.now, lambda: self._load(effect))

    def _load(self, effect: effects.LoadModel) -> None:
        memory = self.memory
        assert not self._is_loading, "two loads at once"
        if not memory.is_alive:
            self._say("load", events.LoadEnded(effect.lease, effect.queue, TargetCut()), 0.001)
            return
        assert not self.faults.is_sick or effect.lease != self.state.lease or self._was_begun()
        for model in effect.victims:
            assert not memory.is_busy(model), f"{model} is unloaded and has jobs"
            memory.unload(model)
        before, was_loaded = memory.listed(), memory.has(effect.residency)
        self.loads.append((self.now, effect.queue))
        memory.make_room(effect.residency, first=effect.may_go)
        takes_s = 0.001 if was_loaded else memory.load_s
        self._is_loading, self._lane_free_at = True, self.now + takes_s
        life, began_at = memory.life, self.now

        def end() -> None:
            self._is_loading = False
            if memory.life != life or self.random.random() < self.faults.failed_loads:
                ended = events.LoadEnded(effect.lease, effect.queue, LoadFailed("no"))
                self._say("load", ended, 0.0005)
                return
            memory.put(effect.residency)
            loaded = events.Loaded(
                lease=effect.lease,
                queue=effect.queue,
                cost_s=self.now - began_at,
                was_loaded=was_loaded,
                before=before,
                after=memory.listed(),
            )
            self._say("load", loaded, 0.0005)

        self.after(takes_s, end)

    def _was_begun(self) -> bool:
        """A load that was ordered before the target fell sick."""
        return self.state.load is not None

    def _do_observe(self, effect: effects.Observe) -> None:
        began_at = self.now
        listed = None
        if self.memory.is_alive:
            listed = {
                model: events.Listed(model, size, 300.0)
                for model, size in self.memory.listed().items()
            }
        self._say("look", events.Observed(began_at, listed), self.soon(0.001, 0.02))

    def _do_probe(self, effect: effects.Probe) -> None:
        self._say("look", events.Probed("sick" if self.faults.is_sick else None), self.soon())

    def die(self, seconds: float) -> None:
        """The target's process ends, and is there again after a while."""
        self.memory.die()
        self._say("target", events.Reached(False), self.soon(0.001, 0.5))
        self.after(seconds, self._revive)

    def _revive(self) -> None:
        self.memory.is_alive = True
        self._say("target", events.Reached(True), self.soon(0.001, 0.5))

    def somebody_loads(self, model: str) -> None:
        if self.memory.is_alive:
            self.memory.make_room(Residency(model))
            self.memory.put(Residency(model))

    def somebody_unloads(self, model: str) -> None:
        if not self.memory.is_busy(model):
            self.memory.unload(model)

    def refuse(self, model: str, seconds: float) -> None:
        """The operator pauses the queue of a model for a while."""
        queue = Residency(model).queue
        self._say("control", events.Refuse(queue, True), 0.001)
        self.after(seconds, lambda: self._say("control", events.Refuse(queue, False), 0.001))

    # The database

    def _do_acquire(self, effect: effects.Acquire) -> None:
        began_at = self.now
        is_free = self.faults.has_database and self._lease_until <= self.now
        if not is_free:
            self._say("told", events.NotLeased(), self.soon())
            return
        lease = Lease(TARGET, next(self._fence))
        self._lease_until = self.now + self.state.setup.lease_s
        residents = tuple((each.queue, each.model) for each in self.memory.residencies())
        room = replace(self.state.room, **_stated(self.first_room))
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
        self._say("database", events.Viewed(view), self.soon(0.001, 0.03))

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

    # The end

    def stop(self) -> None:
        self._say("celery", events.StopAsked(), 0.001)

    def run_until_served(self, limit_s: float) -> None:
        """Until nothing waits and nothing runs, and a little longer."""
        end = self.now + limit_s
        while self.now < end and (self.unserved() or self.state.jobs):
            self.run(self.now + 1.0)
        self.run(self.now + 4.0)

    def queued(self) -> list[str]:
        """Jobs that have a message at the broker, or one that is unsettled."""
        held = [each.job_id for each in self._held.values() if each.job_id is not None]
        return held + [job_id for queue in self.queues.values() for job_id in queue]

    def unserved(self) -> list[Row]:
        return [row for row in self.rows.values() if not row.is_over]


def _stated(room: Room) -> dict[str, int | None]:
    return {"residents": room.residents, "memory_bytes": room.memory_bytes}
