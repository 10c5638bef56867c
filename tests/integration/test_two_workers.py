"""Two workers on one machine by the Procfile's own line, as honcho and Heroku start them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from foreman.adapters.broker import make_celery
from foreman.config import from_env
from foreman.procfile import read
from foreman.tree import PROCFILE
from tests.stack import Process, wait_for

NAMES = ["worker.1", "worker.2"]


@pytest.fixture
def app(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Celery]:
    """Celery's view of two workers, whose targets are away."""
    settings = {
        "DATABASE_URL": database_url,
        "FOREMAN_BROKER_URL": broker_url,
        "FOREMAN_TARGETS": "one=http://127.0.0.1:9,two=http://127.0.0.2:9",
    }
    command = [sys.executable, "-m", *read(PROCFILE)["worker"]]
    workers = [
        Process(name, command, os.environ | settings | {"HONCHO_PROCESS_NAME": name}, tmp_path)
        for name in NAMES
    ]
    app = make_celery(from_env(settings))
    try:
        yield app
    finally:
        app.close()
        for worker in workers:
            worker.kill()


def test_two_workers_of_the_procfile_are_two_to_celery(app: Celery) -> None:
    def names() -> list[str]:
        answers = app.control.ping(timeout=2) or []
        return sorted(name.partition("@")[0] for each in answers for name in each)

    wait_for(lambda: names() == NAMES, 60, "both answer")
