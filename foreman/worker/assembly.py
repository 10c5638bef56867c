"""A worker process: the thread that decides, and all that carries its decisions out.

worker     owns the state (`loop`)
broker     messages (`broker`)
Celery's   runs (`runner`)
lanes      what is told to the database and read from it; loads; the target's lists; probes
periodic   leases of the target and of the runs, limits of runs, lists of all targets
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from kombu import Message

from foreman.config import Settings
from foreman.errors import WorkerLost
from foreman.ids import new_id
from foreman.periodic import PeriodicTasks
from foreman.runtime import WorkerRuntime
from foreman.scheduling.values import VisitRules
from foreman.services.lists import keep_lists
from foreman.store import targets
from foreman.worker import effects, reach
from foreman.worker.broker import BrokerThread
from foreman.worker.events import Event, StopAsked, Unclaimed
from foreman.worker.lane import Lane
from foreman.worker.leases import Recall, RunLeases, TargetLease
from foreman.worker.live import LiveRuns
from foreman.worker.loop import Loop, Step
from foreman.worker.runner import Runner
from foreman.worker.state import Setup, State
from foreman.worker.task_message import Delivery, handed, job_id_of

log = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
# At the end of the process, for each thread: what hangs is a daemon and ends all the same. Those
# whose work nobody needs any more are given less.
STOP_LIMIT_S = 2.0
SHORT_LIMIT_S = 0.2
PERIODIC_STOP_LIMIT_S = 0.5

Tell = Callable[[Event], None]


class TargetHands(Protocol):
    """What asks the target; each call may take as long as its own limits say."""

    def load_model(self, effect: effects.LoadModel) -> None: ...
    def observe(self, effect: effects.Observe) -> None: ...
    def keep_loaded(self, effect: effects.KeepLoaded) -> None: ...
    def probe(self, effect: effects.Probe) -> None: ...


class DatabaseHands(Protocol):
    """What reads the database and writes to it."""

    def look(self, effect: effects.Look) -> None: ...
    def tell_loading(self, effect: effects.TellLoading) -> None: ...
    def tell_residents(self, effect: effects.TellResidents) -> None: ...
    def record_load(self, effect: effects.RecordLoad) -> None: ...
    def save_room(self, effect: effects.SaveRoom) -> None: ...
    def tell_health(self, effect: effects.TellHealth) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker decides by, and who asks its target and its database."""

    step: Step
    rules: VisitRules
    recall: Recall
    target_hands: Callable[[WorkerRuntime, Tell], TargetHands]
    database_hands: Callable[[WorkerRuntime, Tell], DatabaseHands]


class Worker:
    """One worker process; `give_up` ends it, to be started again."""

    def __init__(
        self, settings: Settings, hostname: str, parts: Parts, give_up: Callable[[], None]
    ) -> None:
        # Two workers of one name, or one started again, must not take each other's lease for own.
        name = f"{hostname}/{new_id().hex[-8:]}"
        self.runtime = WorkerRuntime(settings, worker=name)
        self.live = LiveRuns()
        self.broker = BrokerThread(settings, self.tell)
        self._reach = reach.Reach(self.runtime.catalog, self._target, self.tell)
        self.runner = Runner(self.runtime, self.live, self.tell, self._reach.lose)
        self._told, self._looks = Lane("told"), Lane("looks")
        self._loads, self._lists, self._probes = Lane("loads"), Lane("observations"), Lane("probes")
        self._lease = TargetLease(self.runtime, self._told, self.tell, parts.recall)
        self._give_up = give_up
        self._hand_over: Callable[[Message], object] | None = None
        setup = _setup(settings, parts.rules)
        handlers = dict(self._handlers(parts))
        self._loop = Loop(State(setup, time.monotonic()), parts.step, handlers)
        self._tasks = PeriodicTasks()

    @property
    def state(self) -> State:
        """The newest one."""
        return self._loop.state

    def tell(self, event: Event) -> None:
        """Something has happened; from any thread."""
        self._loop.tell(event)

    def declare_targets(self) -> None:
        """Make the targets of the settings known to all processes; DatabaseUnavailable."""
        with self.runtime.database.transaction() as connection:
            targets.declare_targets(connection, self.runtime.settings.targets)

    def use(self, hand_over: Callable[[Message], object]) -> None:
        """Give Celery its tasks this way from now on; the first time the worker starts."""
        is_first, self._hand_over = self._hand_over is None, hand_over
        if is_first:
            self._start()

    def stop(self) -> None:
        """Take no more jobs; those that run have `shutdown_s` to end, then they are given back."""
        self.tell(StopAsked())

    def close(self) -> None:
        """The last thing: no task runs any more, the target is given back."""
        self.stop()
        self._loop.stop(STOP_LIMIT_S)
        self.broker.stop(STOP_LIMIT_S)
        self._lease.release_held()
        self._told.stop(STOP_LIMIT_S)
        for lane in (self._looks, self._loads, self._lists, self._probes):
            lane.stop(SHORT_LIMIT_S)
        self._tasks.stop(PERIODIC_STOP_LIMIT_S)
        self.runtime.close()

    def _start(self) -> None:
        for lane in (self._told, self._looks, self._loads, self._lists, self._probes):
            lane.start()
        self._loop.start()
        self.broker.start()
        # What one of them waits for may not hold up another: a target that hangs may not cost the
        # lease, and a silent database may not keep a run from its limit.
        start, runs = self._tasks.start, RunLeases(self.runtime, self.live)
        start("lease", self._lease.every_s, self._lease.renew)
        start("leases of runs", runs.every_s, runs.renew)
        limit_s = self.runtime.settings.job_timeout_s
        start("limits of runs", CHECK_EVERY_S, partial(self.live.check_times, limit_s))
        start("reach", reach.LOOK_EVERY_S, self._reach.look)
        keep_lists(self._tasks, self.runtime.catalog)

    def _target(self) -> str | None:
        lease = self.state.lease
        return lease.target if lease else None

    def _handlers(self, parts: Parts) -> Iterator[tuple[type, Callable[[Any], object]]]:
        target = parts.target_hands(self.runtime, self.tell)
        database = parts.database_hands(self.runtime, self.tell)
        for order in (effects.Pull, effects.Ack, effects.Requeue, effects.SetAside):
            yield order, self.broker.obey
        yield effects.Reconnect, self.broker.reconnect
        yield effects.StartRun, self._start_run
        yield effects.Proceed, lambda effect: self.live.proceed(effect.tag, effect.error)
        yield effects.StopRun, self._stop_run
        yield effects.LoadModel, _on(self._loads, target.load_model)
        yield effects.Observe, _on(self._lists, target.observe)
        yield effects.KeepLoaded, _on(self._probes, target.keep_loaded)
        yield effects.Probe, _on(self._probes, target.probe)
        yield effects.Acquire, self._lease.acquire
        yield effects.Release, self._lease.release
        yield effects.Look, _on(self._looks, database.look)
        yield effects.TellLoading, _on(self._told, database.tell_loading)
        yield effects.TellResidents, _on(self._told, database.tell_residents)
        yield effects.RecordLoad, _on(self._told, database.record_load)
        yield effects.SaveRoom, _on(self._told, database.save_room)
        yield effects.TellHealth, _on(self._told, database.tell_health)
        yield effects.GiveUp, lambda effect: self._give_up()
        yield effects.Log, _write_log

    def _start_run(self, effect: effects.StartRun) -> None:
        """Hand a message to Celery: its pool's thread runs it, in this one nothing waits."""
        held, target = self.broker.unsettled(effect.tag), self._target()
        job_id = job_id_of(held[1]) if held else None
        if held is None or target is None or job_id is None or self._hand_over is None:
            self.tell(Unclaimed(effect.tag, is_looked_at=False))
            return
        name, message = held
        self.runner.expect(effect.tag, job_id, target=target, is_ready=effect.is_ready)
        try:
            self._hand_over(handed(message, name, job_id, Delivery(effect.tag)))
        except Exception:  # a pool that is closed, or a defect: no task will begin
            log.exception("task not handed over", extra={"job_id": job_id})
            self.live.stop(effect.tag, WorkerLost())

    def _stop_run(self, effect: effects.StopRun) -> None:
        self.live.stop(effect.tag, effect.error, only_silent=effect.only_silent)


def _setup(settings: Settings, rules: VisitRules) -> Setup:
    return Setup(
        rules,
        slots={target.name: target.slots for target in settings.targets},
        lease_s=settings.lease_s,
        shutdown_s=settings.shutdown_s,
        pinned=frozenset(settings.pinned),
        keep_embeddings_s=settings.keep_embeddings_s,
    )


def _on(lane: Lane, carry_out: Callable[[Any], object]) -> Callable[[Any], object]:
    """Carry effects out on a lane."""
    return lambda effect: lane.put(partial(carry_out, effect))


def _write_log(effect: effects.Log) -> None:
    log.log(effect.level, effect.text, extra=dict(effect.facts))
