"""Work in steps: a generator that yields after each bounded amount of work and returns a value."""

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


def finished(steps: Generator[None, None, T], pause: Callable[[], object] = lambda: None) -> T:
    """Do all steps and return their value; `pause` is called after each, for the sake of others."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
        pause()
