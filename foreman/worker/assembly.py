"""A worker process: the thread that decides, and all that carries its decisions out.

worker     owns the state (`loop`)
broker     messages (`broker`)
Celery's   runs (`runner`)
lanes      what is told to the database and read from it; loads; the target's lists; probes
periodic   leases of the target and of the runs, limits of runs, lists of all targets
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from foreman.worker.lane import Lane, LeaseLane
from foreman.worker.live import LiveRuns
from foreman.worker.loop import Loop, Step
from foreman.worker.renewing import RunLeases, TargetLease
from foreman.worker.runner import Runner
from foreman.worker.state import Setup, State
from foreman.worker.task_message import Delivery, handed, job_id_of

log = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
FLUSH_EVERY_S = 1.0
# At the end of the process, for each thread: what hangs is a daemon and ends all the same. Those
# whose work nobody needs any more are given less.
STOP_LIMIT_S = 2.0
SHORT_LIMIT_S = 0.2
PERIODIC_STOP_LIMIT_S = 0.5

# What asks the target and the database, by effect: each call returns what it has to report, and may
# take as long as its own limits say. The other one is periodic: it tells again what was not told.
CarryOut = Callable[[Any], Event | None]
Hands = tuple[Mapping[type, CarryOut], Callable[[], object]]
_TOLD = (
    effects.TellLoading,
    effects.TellResidents,
    effects.RecordLoad,
    effects.SaveRoom,
    effects.TellHealth,
    effects.DoubtMessages,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker decides by, and its hands."""

    step: Step
    rules: VisitRules
    hands: Callable[[WorkerRuntime], Hands]


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
        self._loads, self._lists = LeaseLane("loads"), LeaseLane("observations")
        self._probes = LeaseLane("probes")
        self._by_hand, self._flush = parts.hands(self.runtime)
        acquire, release = self._by_hand[effects.Acquire], self._by_hand[effects.Release]
        self._lease = TargetLease(self.runtime, self.tell, acquire, release)
        self._give_up = give_up
        self._hand_over: Callable[[Message], object] | None = None
        setup = _setup(settings, parts.rules)
        handlers = dict(self._handlers())
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
        self._told.put(self._lease.release_held)
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
        start("what is untold", FLUSH_EVERY_S, self._flush)
        start("leases of runs", runs.every_s, runs.renew)
        limit_s = self.runtime.settings.job_timeout_s
        start("limits of runs", CHECK_EVERY_S, partial(self.live.check_times, limit_s))
        start("reach", reach.LOOK_EVERY_S, self._reach.look)
        keep_lists(self._tasks, self.runtime.catalog)

    def _target(self) -> str | None:
        lease = self.state.lease
        return lease.target if lease else None

    def _handlers(self) -> Iterator[tuple[type, Callable[[Any], object]]]:
        for order in (effects.Pull, effects.Ack, effects.Requeue, effects.SetAside):
            yield order, self.broker.obey
        yield effects.Reconnect, self.broker.reconnect
        yield effects.StartRun, self._start_run
        yield effects.Proceed, lambda effect: self.live.proceed(effect.tag, effect.error)
        yield effects.StopRun, self._stop_run
        yield effects.Acquire, self._on(self._told, self._lease.acquire)
        yield effects.Release, self._on(self._told, self._lease.release)
        yield effects.Look, self._on(self._looks, self._by_hand[effects.Look])
        for told in _TOLD:
            yield told, self._on(self._told, self._by_hand[told])
        for lane, kinds in (
            (self._loads, (effects.LoadModel,)),
            (self._lists, (effects.Observe,)),
            (self._probes, (effects.KeepLoaded, effects.Probe)),
        ):
            for kind in kinds:
                yield kind, self._on_leased(lane, self._by_hand[kind])
        yield effects.GiveUp, lambda effect: self._give_up()
        yield effects.Log, _write_log

    def _on(self, lane: Lane, carry_out: CarryOut) -> Callable[[Any], object]:
        """Carry effects out on a lane, and tell what is reported."""
        return lambda effect: lane.put(partial(self._report, carry_out, effect))

    def _on_leased(self, lane: LeaseLane, carry_out: CarryOut) -> Callable[[Any], object]:
        """The same on the lane of the effect's lease."""
        return lambda effect: lane.put(effect.lease, partial(self._report, carry_out, effect))

    def _report(self, carry_out: CarryOut, effect: Any) -> None:
        event = carry_out(effect)
        if event is not None:
            self.tell(event)

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


def _write_log(effect: effects.Log) -> None:
    log.log(effect.level, effect.text, extra=dict(effect.facts))
