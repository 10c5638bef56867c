"""Faults as values: what breaks when the block begins is whole again at its end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests.chaos.proxy import Link
from tests.chaos.row import Fault, Scene

POSTGRES = ("web-postgres", "worker-postgres", "relay-postgres")
BROKER = ("web-broker", "worker-broker", "relay-broker")
TARGETS = ("target1", "target2")


def on_links(*names: str, do: Callable[[Link], None]) -> Fault:
    """Break these links, all at once."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        links = scene.ground.links_of(*names)
        for link in links:
            do(link)
        try:
            yield
        finally:
            for link in links:
                link.heal()

    return fault


def on_target(kind: str, **rule: object) -> Fault:
    """Let the first target do this to every request for work."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        target = scene.ground.targets["target1"]
        target.fault(kind, **rule)
        try:
            yield
        finally:
            target.end_faults()

    return fault


@contextmanager
def nothing(scene: Scene) -> Iterator[None]:
    """Break nothing."""
    yield


def at_once(do: Callable[[Scene], None]) -> Fault:
    """Do something that needs no healing."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        do(scene)
        yield

    return fault


def together(*faults: Fault) -> Fault:
    """All of them at the same time."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        with ExitStack() as entered:
            for each in faults:
                entered.enter_context(each(scene))
            yield

    return fault
