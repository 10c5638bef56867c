"""gunicorn's configuration. It is read before gevent patches: nothing here imports a driver."""

import sys
from typing import Any

import gevent

from foreman.config import load
from foreman.front.worker import Patience, Worker
from foreman.parsing import authority

_settings = load(is_bound=True)
keepalive = 75


class ForemanWorker(Worker):
    """The web process, with what the settings say about connections."""

    patience = Patience(head_s=_settings.head_timeout_s, idle_s=keepalive)
    per_address = _settings.max_connections_per_address


bind = authority(_settings.host, _settings.port)
workers = _settings.web_processes
worker_class = ForemanWorker
# The limits of one head: what Ollama accepts, and more than a browser sends.
limit_request_fields = 200
limit_request_field_size = 64 * 1024
http_parser = "python"
# Headers that would change how a request is read: its path, its scheme.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Heroku kills after 30 s: streams get their last line at shutdown_s, this is what follows.
graceful_timeout = int(_settings.shutdown_s) + 5
timeout = 60
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
