"""The Celery application: `celery -A celery_app worker|inspect|events|flower`."""

from typing import Any

from celery import signals

from celery_app import drain, events, inspection, lifecycle, tasks
from foreman import logs
from foreman.adapters.broker import make_celery
from foreman.config import load

__all__ = ["app", "inspection"]

_settings = load()


@signals.setup_logging.connect
def configure_logs(**options: Any) -> None:
    """Foreman's logs instead of Celery's."""
    logs.configure(_settings.log_level)


app = make_celery(_settings, has_confirms=False)
# Not in `app.conf`: `inspect conf`, `celery report` and Flower print all of that.
lifecycle.use(_settings)
app.steps["consumer"].update({events.GatherEvents, drain.DrainStep})
tasks.register(app)
