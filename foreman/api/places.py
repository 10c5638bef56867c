"""So many requests at once for each target, made when a target is first asked."""

import threading
from collections.abc import Iterable


class Places(dict[str, threading.BoundedSemaphore]):
    """A semaphore a target, by its name."""

    def __init__(self, targets: Iterable[str], count: int) -> None:
        super().__init__({name: threading.BoundedSemaphore(count) for name in targets})
