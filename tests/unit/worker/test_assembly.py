"""A worker whose servers are all away: who carries out which effect."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from foreman.config import from_env
from foreman.core.lease import Lease
from foreman.core.queues import Residency
from foreman.core.residents import LoadRow
from foreman.embedded.probe import free_port
from foreman.errors import JobCancelled
from foreman.runtime import WorkerRuntime
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.worker import effects
from foreman.worker.assembly import Hands, Parts, Worker
from foreman.worker.effects import Effect
from foreman.worker.events import Event, NotLeased, StopAsked, Unclaimed
from foreman.worker.state import Idle, State
from tests.stack import wait_for

LEASE = Lease("gpu", 1)
ROW = LoadRow(
    queue="q", model="m", unloaded=(), reason="first", cost_s=1.0, was_loaded=False,
    head_wait_s=None, jobs_served=0, lingers=0, lingers_answered=0, linger_wasted_s=0.0,
)  # fmt: skip
ALL: list[Effect] = [
    effects.Pull(Idle(), 1),
    effects.Ack(1),
    effects.Requeue(1),
    effects.SetAside(1),
    effects.Reconnect(),
    effects.StartRun(7, is_ready=True),
    effects.Proceed(7),
    effects.StopRun(7, JobCancelled()),
    effects.LoadModel(lease=LEASE, queue="q", residency=Residency("m"), victims=(), may_go=()),
    effects.Observe(LEASE),
    effects.KeepLoaded(LEASE, "m", 1.0),
    effects.Probe(LEASE, "m"),
    effects.Acquire(),
    effects.Release(LEASE),
    effects.Look(LEASE),
    effects.TellLoading(LEASE, None, "why"),
    effects.TellResidents(LEASE, ()),
    effects.RecordLoad(LEASE, ROW),
    effects.SaveRoom(LEASE, Room()),
    effects.TellHealth(LEASE, None),
    effects.DoubtMessages("q"),
    effects.GiveUp(),
    effects.Log(30, "said", {"fact": 1}),
]
HANDS = {
    effects.LoadModel, effects.Observe, effects.KeepLoaded, effects.Probe, effects.Look,
    effects.TellLoading, effects.TellResidents, effects.RecordLoad, effects.SaveRoom,
    effects.TellHealth, effects.DoubtMessages, effects.Acquire, effects.Release,
}  # fmt: skip


AT_TARGET = {effects.LoadModel, effects.Observe, effects.KeepLoaded, effects.Probe}


class Ground:
    """Does all of it once, when it is told to stop."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.given_up: list[bool] = []
        self.calls: queue.Queue[type] = queue.Queue()
        self.has_flushed = threading.Event()

    def step(self, state: State, event: Event, now: float) -> tuple[State, Iterable[Effect]]:
        is_first = isinstance(event, StopAsked) and event not in self.events
        self.events.append(event)
        return replace(state, now=now), ALL if is_first else []

    def hands(self, runtime: WorkerRuntime) -> Hands:
        return dict.fromkeys(HANDS, self.carry_out), self.has_flushed.set

    def carry_out(self, effect: Effect) -> Event | None:
        self.calls.put(type(effect))
        return NotLeased() if isinstance(effect, effects.Acquire) else None


class HangingGround(Ground):
    """What is to be done at the target of the first lease hangs; then another lease begins."""

    NEXT = Lease("gpu", 2)

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.done_for_next: queue.Queue[type] = queue.Queue()

    def step(self, state: State, event: Event, now: float) -> tuple[State, Iterable[Effect]]:
        state, wanted = super().step(state, event, now)
        at_target: list[Any] = [each for each in wanted if type(each) in AT_TARGET]
        return state, [*at_target, *(replace(each, lease=self.NEXT) for each in at_target)]

    def carry_out(self, effect: Effect) -> Event | None:
        if getattr(effect, "lease", None) == LEASE:
            self.goes_on.wait(30)
        else:
            self.done_for_next.put(type(effect))
        return None


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.fixture
def worker(ground: Ground) -> Iterator[Worker]:
    made = worker_on(ground)
    yield made
    made.close()


def worker_on(ground: Ground) -> Worker:
    settings = from_env(
        {
            "DATABASE_URL": f"postgres://nobody@127.0.0.1:{free_port()}/none",
            "FOREMAN_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
            "FOREMAN_TARGETS": f"gpu=http://127.0.0.1:{free_port()}?slots=3",
        }
    )
    parts = Parts(ground.step, VisitRules(), ground.hands)
    return Worker(settings, "host", parts, lambda: ground.given_up.append(True))


def test_every_effect_is_carried_out_by_somebody(
    ground: Ground, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    assert {type(effect) for effect in ALL} == set(get_args(Effect))

    worker.use(lambda message: None)
    worker.tell(StopAsked())

    wait_for(lambda: ground.given_up)
    assert {ground.calls.get(timeout=10) for _ in HANDS} == HANDS
    wait_for(lambda: NotLeased() in ground.events)
    wait_for(lambda: Unclaimed(7, is_looked_at=False) in ground.events)  # there is no such message
    assert ground.has_flushed.wait(10)
    failed = [record for record in caplog.records if record.message == "effect failed"]
    assert failed == []
    assert [vars(each)["fact"] for each in caplog.records if each.message == "said"] == [1]


def test_its_settings_are_in_its_state(worker: Worker) -> None:
    setup = worker.state.setup

    assert (setup.slots, setup.lease_s) == ({"gpu": 3}, worker.runtime.settings.lease_s)
    assert worker.state.lease is None


def test_what_hangs_at_a_lost_target_holds_up_nothing_at_the_next_one() -> None:
    ground = HangingGround()
    worker = worker_on(ground)
    worker.use(lambda message: None)

    worker.tell(StopAsked())

    assert {ground.done_for_next.get(timeout=10) for _ in AT_TARGET} == AT_TARGET
    ground.goes_on.set()
    worker.close()
