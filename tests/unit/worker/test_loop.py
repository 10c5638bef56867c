"""The worker's loop with a scripted step: what it is told, when it wakes, what it survives."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from foreman.scheduling.values import VisitRules
from foreman.worker.effects import Ack, Effect, GiveUp, Requeue
from foreman.worker.events import Empty, Event, StopAsked, Tick
from foreman.worker.loop import FAILURES_LIMIT, Handlers, Loop
from foreman.worker.state import Setup, State
from tests.stack import wait_for


def state(*, wake_at: float = math.inf) -> State:
    setup = Setup(VisitRules(), slots={"gpu": 2}, lease_s=15.0, shutdown_s=5.0)
    return State(setup, now=0.0, wake_at=wake_at)


class Script:
    """A step that notes its events and answers them with given effects."""

    def __init__(self, *effects: Effect, wake_at: float = math.inf) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self._effects, self._wake_at = effects, wake_at

    def __call__(self, state: State, event: Event, now: float) -> tuple[State, Iterable[Effect]]:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        return replace(state, now=now, wake_at=self._wake_at), self._effects


def run(loop: Loop, *events: Event) -> None:
    """All of it, from the start to the end."""
    loop.start()
    for event in events:
        loop.tell(event)
    assert loop.stop(10)


def test_events_are_decided_in_their_order_on_one_thread_and_effects_in_theirs() -> None:
    script = Script(Ack(1), Requeue(2))
    carried: list[Effect] = []
    loop = Loop(state(), script, {Ack: carried.append, Requeue: carried.append})

    run(loop, Empty(1), StopAsked())

    assert script.events == [Empty(1), StopAsked()]
    assert len(script.threads) == 1
    assert carried == [Ack(1), Requeue(2), Ack(1), Requeue(2)]
    assert loop.state.now > 0.0


def test_the_newest_state_is_published_before_its_effects_are_carried_out() -> None:
    seen: list[float] = []
    handlers: Handlers = {Ack: lambda _: seen.append(loop.state.now)}
    loop = Loop(state(), Script(Ack(1)), handlers)

    run(loop, Empty(1))

    assert seen == [loop.state.now]


def test_it_wakes_when_its_state_says_so() -> None:
    script = Script()
    loop = Loop(state(wake_at=time.monotonic() + 0.02), script, {})
    loop.start()

    wait_for(lambda: script.events)

    assert loop.stop(10)
    assert script.events == [Tick()]


def test_a_handler_that_fails_costs_its_effect_alone(caplog: pytest.LogCaptureFixture) -> None:
    carried: list[Effect] = []

    def fail(effect: Ack) -> None:
        raise RuntimeError(f"no {effect}")

    run(Loop(state(), Script(Ack(1), Requeue(2)), {Ack: fail, Requeue: carried.append}), Empty(1))

    assert carried == [Requeue(2)]
    assert [record.message for record in caplog.records] == ["effect failed"]


def test_a_step_that_fails_loses_its_event_alone_and_when_it_always_fails_the_process_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carried: list[Effect] = []

    def failing(is_failing: Callable[[Event], bool]) -> Loop:
        def step(state: State, event: Event, now: float) -> tuple[State, Iterable[Effect]]:
            if is_failing(event):
                raise RuntimeError("a defect")
            return state, [Ack(1)]

        return Loop(state(), step, {Ack: carried.append, GiveUp: carried.append})

    run(failing(lambda event: event == Empty(1)), Empty(1), Empty(2))
    assert carried == [Ack(1)]

    run(failing(lambda _: True), *[Empty(1)] * (FAILURES_LIMIT + 1))
    assert carried == [Ack(1), GiveUp()]
    assert {record.message for record in caplog.records} == {"step failed"}


def test_a_step_that_fails_is_not_called_in_a_hot_loop() -> None:
    calls: list[Event] = []

    def step(state: State, event: Event, now: float) -> tuple[State, Iterable[Effect]]:
        calls.append(event)
        raise RuntimeError("a defect")

    loop = Loop(state(wake_at=0.0), step, {})
    loop.start()
    wait_for(lambda: calls)
    # Were it called at once again, it would be so many times before the end is read.
    assert loop.stop(10)
    assert calls == [Tick()]
