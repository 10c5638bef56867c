"""The puller's thread: it ends when it is told to, whatever it waits for."""

import importlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from foreman.core.drain import Action, Decision


class Plan:
    """Nothing waits."""

    def __init__(self, worker: object) -> None:
        self.decision = Decision(Action.LISTEN, None, "nothing waits")
        self.is_old = False

    def look(self) -> None: ...

    def decide(self) -> Decision:
        return self.decision

    def known(self) -> set[str]:
        return {"model.a"}


class Inlet:
    """A broker without a message."""

    is_listening = threading.Event()

    def __init__(self, *_: object) -> None: ...

    def listen(self, names: Collection[str], *, until: Callable[[], bool]) -> None:
        self.is_listening.set()
        while not until():
            time.sleep(0.01)  # as the broker's client waits

    def release(self) -> None: ...

    def keep_alive(self) -> None: ...


@contextmanager
def connection(_: object) -> Iterator[object]:
    yield object()


@pytest.fixture
def puller(monkeypatch: pytest.MonkeyPatch) -> Any:
    # The package reads its settings when it is imported.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere/none")
    monkeypatch.setenv("FOREMAN_BROKER_URL", "redis://nowhere/1")
    return importlib.import_module("celery_app.puller")


def test_an_idle_puller_ends_when_it_is_closed(
    puller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, stand_in in (("Plan", Plan), ("Inlet", Inlet), ("connect_to_drain", connection)):
        monkeypatch.setattr(puller, name, stand_in)
    target = SimpleNamespace(spec=SimpleNamespace(slots=1))
    worker = SimpleNamespace(
        visit=SimpleNamespace(queue=None),
        slots=SimpleNamespace(running=0),
        is_stopping=threading.Event(),
        runtime=SimpleNamespace(settings=None, targets={"gpu": target}),
        lease=lambda: SimpleNamespace(target="gpu"),
        may_serve=lambda: True,
    )
    thread = puller.Puller(worker, lambda message: None, lambda: None)
    thread.start()
    assert Inlet.is_listening.wait(10)

    thread.close()

    assert not thread.is_alive()
