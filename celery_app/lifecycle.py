"""What happens to a worker process from its start to its end: Celery's signals, in order."""

from typing import Any

from celery import signals

from celery_app.worker import Worker
from foreman.config import Settings
from foreman.runtime import keep_for_good
from foreman.services import startup

_settings: Settings | None = None
_worker: Worker | None = None


def use(settings: Settings) -> None:
    """The settings of a worker that this process may start."""
    global _settings
    _settings = settings


def start_worker(hostname: str) -> Worker:
    """The one worker of this process; made before Celery connects for the first time."""
    global _worker
    if _settings is None:
        raise RuntimeError("no settings were given to this process")
    if _worker is None:
        # Here, since without the database the next line ends the process, and without the broker
        # Celery tries for ever or ends, and names no variable.
        startup.check_servers(_settings).join(startup.CHECK_LIMIT_S)
        _worker = Worker(_settings, hostname)
        _worker.keeper.declare()
        keep_for_good()
    return _worker


def current() -> Worker:
    """The worker that runs a task now."""
    if _worker is None:
        raise RuntimeError("the drain has not started in this process")
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
