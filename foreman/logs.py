"""Logs: one JSON object a line on stdout, with the id of the job that a line is about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from pythonjsonlogger.json import JsonFormatter

_job_id: ContextVar[UUID | None] = ContextVar("job_id", default=None)


class _AddsJobId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        job_id = _job_id.get()
        if job_id is not None and not hasattr(record, "job_id"):
            record.job_id = str(job_id)
        return True


@contextmanager
def about_job(job_id: UUID) -> Iterator[None]:
    """Every line logged inside carries this job's id."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def configure(level: str) -> None:
    """Send everything that this process logs to stdout as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_AddsJobId())
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{process}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="at",  # RFC 3339, in UTC
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # One line a request and more: foreman logs what matters of them itself.
    for chatty in (
        "urllib3",
        "amqp",
        "kombu",
        "celery.worker.strategy",
        "celery.app.trace",
        "alembic",
    ):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
