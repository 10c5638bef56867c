"""gunicorn's configuration. It is read before gevent patches: nothing here imports a driver."""

import sys
from typing import Any

import gevent

from foreman.config import load
from foreman.parsing import authority

_settings = load()

bind = authority(_settings.host, _settings.port)
workers = _settings.web_processes
worker_class = "gevent"
worker_connections = 2000
# Heroku kills after 30 s: streams get their last line at shutdown_s, this is what follows.
graceful_timeout = int(_settings.shutdown_s) + 5
timeout = 60
keepalive = 75
preload_app = False
control_socket_disable = True
accesslog = None
loglevel = _settings.log_level.lower()
proc_name = "foreman-web"


def post_worker_init(worker: Any) -> None:
    """Watch for the end of this worker: its streams must be told before they are cut."""
    gevent.spawn(_end_streams_when_stopping, worker)


def _end_streams_when_stopping(worker: Any) -> None:
    while worker.alive:
        gevent.sleep(0.2)
    _application().refuse_jobs()
    gevent.sleep(_settings.shutdown_s)
    _application().end_streams()


def worker_exit(server: Any, worker: Any) -> None:
    """Give back what this worker holds, if it came as far as holding anything."""
    if "foreman.wsgi" in sys.modules:
        _application().close()


def _application() -> Any:
    # Not an import: this module is read before gevent patches, that one was read after.
    return sys.modules["foreman.wsgi"]
