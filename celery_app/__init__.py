"""The Celery application: `celery -A celery_app worker|inspect|events|flower`."""

from typing import Any

from celery import signals

from celery_app import bootstep, controls, events, generate, inspection, node_name, process
from foreman import logs
from foreman.adapters.broker import make_celery
from foreman.config import load
from foreman.services.rules import visit_rules
from foreman.worker.assembly import Parts
from foreman.worker.carrying_out import carry_out_with
from foreman.worker.step import step

__all__ = ["app", "controls", "inspection", "node_name"]

_settings = load()


@signals.setup_logging.connect
def configure_logs(**options: Any) -> None:
    """Foreman's logs instead of Celery's."""
    logs.configure(_settings.log_level)


app = make_celery(_settings, has_confirms=False)
# Not in `app.conf`: `inspect conf`, `celery report` and Flower print all of that.
process.plan(_settings, Parts(step, visit_rules(_settings), carry_out_with))
app.steps["consumer"].update({events.GatherEvents, bootstep.WorkerStep})
generate.register(app)
