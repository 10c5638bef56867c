"""The worker of this process, from its start to its end: Celery's signals, in order."""

import os
import signal
import sys
import threading
from typing import Any

from celery import signals

from foreman.config import Settings
from foreman.runtime import keep_for_good
from foreman.services import startup
from foreman.worker.assembly import Parts, Worker

END_LIMIT_S = 30.0

_planned: tuple[Settings, Parts] | None = None
_worker: Worker | None = None


def plan(settings: Settings, parts: Parts) -> None:
    """What a worker of this process is made of, if it is started."""
    global _planned
    _planned = (settings, parts)


def start_worker(hostname: str) -> Worker:
    """The one worker of this process; made before Celery connects for the first time."""
    global _worker
    if _planned is None:
        raise RuntimeError("no settings were given to this process")
    if _worker is None:
        settings, parts = _planned
        # Here, since without the database the next line ends the process, and without the broker
        # Celery tries for ever or ends, and names no variable.
        startup.check_servers(settings).join(startup.CHECK_LIMIT_S)
        if problem := startup.tables_problem(settings):
            print(f"foreman: {problem}", file=sys.stderr)
            raise SystemExit(1)
        _worker = Worker(settings, hostname, parts, _end_process)
        _worker.declare_targets()
        keep_for_good()
    return _worker


def current() -> Worker:
    """The worker of this process."""
    if _worker is None:
        raise RuntimeError("the worker has not started in this process")
    return _worker


@signals.worker_shutting_down.connect
def on_stop(**options: Any) -> None:
    """SIGTERM: take no more jobs."""
    if _worker is not None:
        _worker.stop()


@signals.worker_shutdown.connect
def on_end(**options: Any) -> None:
    """The pool is empty."""
    if _worker is not None:
        _worker.close()


def _end_process() -> None:
    """The warm stop of a supervisor, and the hard one if that hangs, too."""
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Timer(END_LIMIT_S, os._exit, (70,)).start()
