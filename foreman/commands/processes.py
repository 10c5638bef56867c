"""`foreman web`, `worker`, `flower`: the process of that name, as the Procfile starts it."""

import os
import sys
from collections.abc import Sequence

from foreman.procfile import read
from foreman.tree import PROCFILE

# Programs of the Procfile that are modules of this very Python, whatever is on PATH.
_MODULES = {"gunicorn", "celery"}


def web(options: Sequence[str]) -> None:
    """Become gunicorn, with `options` added to those of the Procfile."""
    _become("web", options)


def worker(options: Sequence[str]) -> None:
    """Become a Celery worker, with `options` added to those of the Procfile."""
    _become("worker", options)


def flower(options: Sequence[str]) -> None:
    """Become Flower, with `options` added to those of the Procfile."""
    _become("flower", options)


def _become(name: str, options: Sequence[str]) -> None:
    # In place of this process, not as its child: a supervisor's signals reach it.
    program, *rest = read(PROCFILE)[name]
    module = ["-m", program] if program in _MODULES else [program]
    os.execv(sys.executable, [sys.executable, *module, *rest, *options])
