"""The web process: `gunicorn -c python:foreman.serving foreman.wsgi:app`.

gunicorn's gevent worker has patched the standard library before it imports this module.
"""

import sys
from contextlib import suppress

import psycopg.waiting
from gevent import monkey

from foreman import logs
from foreman.adapters.inbox import Note
from foreman.api import create_app
from foreman.config import load
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime, keep_for_good
from foreman.services import startup
from foreman.services.upkeep import WebUpkeep

CHANNEL_LIMIT_S = 15
BOOT_ERROR = 3  # gunicorn ends with a worker that exits so, and starts no other

if monkey.is_module_patched("socket") and psycopg.waiting.wait is psycopg.waiting.wait_c:
    raise RuntimeError("psycopg was imported before gevent patched: every query would block")

_settings = load()
logs.configure(_settings.log_level)
if _problem := startup.tables_problem(_settings):
    print(f"foreman: {_problem}", file=sys.stderr)
    sys.exit(BOOT_ERROR)
startup.warn(_settings)
startup.check_servers(_settings)

_runtime = WebRuntime(_settings)
_upkeep = WebUpkeep(_runtime)
_upkeep.start()
# No job may be published before its frames can arrive. Without a broker the process serves all
# the same, answers 503 and connects when it can.
_runtime.inbox.wait_until_consuming(CHANNEL_LIMIT_S)
app = create_app(_runtime)
keep_for_good()


def refuse_jobs() -> None:
    """Shutting down: requests that come on open connections get 503."""
    _runtime.is_stopping = True


def end_streams() -> None:
    """Shutting down, and the grace is over: every stream gets its last line."""
    _runtime.inbox.close_all(Note.STOPPING)


def close() -> None:
    """No request runs any more."""
    with suppress(DatabaseUnavailable):
        _upkeep.close()
    _runtime.close()
