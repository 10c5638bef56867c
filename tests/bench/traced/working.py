"""A traced worker: `celery -A tests.bench.traced.working worker`."""

import functools
import threading
import time
from typing import Any

from celery import signals

from celery_app import app
from foreman.adapters.channel import Outgoing, Sender
from foreman.adapters.target import Call
from foreman.core.frames import decode
from foreman.store import runs
from foreman.worker.assembly import Worker
from foreman.worker.broker import BrokerThread
from foreman.worker.runner import Runner
from tests.bench.traced import marks

__all__ = ["app"]

_running = threading.local()


def _put_stopwatches() -> None:
    marks.around(BrokerThread, "_report", "", "pulled", _of_message)
    marks.around(Worker, "_start_run", "decided", "handed to Celery", _of_start)
    marks.around(Runner, "_claim", "task begins", "", _of_live_run)
    marks.around(Runner, "_carry_out", "", "task ends", _of_live_run)
    marks.around(runs, "claim_job", "claim begins", "claimed", _of_claim)
    marks.around(Call, "send", "target asked", "target's head", _of_this_thread)
    marks.around(Outgoing, "send", "first chunk", "", _of_outgoing)
    _note_publishing()


def _of_message(result: Any, broker: Any, name: str, message: Any, pull: Any) -> object:
    return message.headers["id"]


def _of_start(result: Any, worker: Any, effect: Any) -> object:
    held = worker.broker.unsettled(effect.tag)
    return held[1].headers["id"] if held else None


def _of_live_run(result: Any, runner: Any, run: Any) -> object:
    return run.job_id


def _of_claim(result: Any, connection: Any, job_id: Any, **options: Any) -> object:
    _running.job_id = job_id
    return job_id


def _of_this_thread(*args: Any, **options: Any) -> object:
    return getattr(_running, "job_id", None)  # none: a model list is fetched


def _of_outgoing(result: Any, outgoing: Any, *args: Any) -> object:
    return outgoing._job_id


def _note_publishing() -> None:
    """A message carries frames of many jobs."""
    inner = Sender._publish

    @functools.wraps(inner)
    def publish(sender: Any, message: bytes) -> None:
        began_at = time.monotonic()
        inner(sender, message)
        ended_at = time.monotonic()
        for frame in decode(message):
            marks.mark(frame.job_id, "frames' publish begins", began_at)
            marks.mark(frame.job_id, "frames published", ended_at)

    Sender._publish = publish  # type: ignore[assignment,method-assign]  # that is the point


@signals.worker_shutdown.connect
def _flush(**options: Any) -> None:
    marks.flush()


_put_stopwatches()
