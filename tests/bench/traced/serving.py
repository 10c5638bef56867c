"""gunicorn's configuration of a traced web process: foreman's own, and stopwatches.

Read before gevent patches, as `foreman.serving`: it imports nothing that foreman.wsgi will.
"""

import functools
import sys
import threading
import time
from typing import Any

from foreman import serving
from tests.bench.traced import marks

# gunicorn reads its settings as names of this module.
globals().update({key: value for key, value in vars(serving).items() if not key.startswith("_")})


def post_worker_init(worker: Any) -> None:
    """Called in the worker, when foreman.wsgi is imported."""
    serving.post_worker_init(worker)
    _put_stopwatches()


def worker_exit(server: Any, worker: Any) -> None:
    """Called when no request runs any more."""
    serving.worker_exit(server, worker)
    marks.flush()


def _put_stopwatches() -> None:
    surface = sys.modules["foreman.api.ollama"]
    publisher = sys.modules["foreman.adapters.publisher"]
    inbox: Any = sys.modules["foreman.adapters.inbox"]
    follow: Any = sys.modules["foreman.services.follow"]
    store = sys.modules["foreman.store.jobs"]
    marks.around(surface, "submit", "submit begins", "submit ends", _of_ticket)
    _note_parsed(surface)
    marks.around(store, "insert_job", "insert begins", "insert ends", _of_new_job)
    marks.around(publisher, "send_wakeup", "publish begins", "published", _of_wakeup)
    marks.around(inbox.Mailbox, "put", "frame in mailbox", "", _of_frame)
    marks.around(follow.Follower, "start", "follow begins", "answer begins", _of_follower)


def _note_parsed(surface: Any) -> None:
    """When gunicorn had read the request; its job has no id yet."""
    entered = threading.local()  # of a greenlet, here
    worker_class: Any = sys.modules["gunicorn.workers.base_async"].AsyncWorker
    handle_request, submit = worker_class.handle_request, surface.submit

    @functools.wraps(handle_request)
    def entering(*args: Any) -> Any:
        entered.at = time.monotonic()
        return handle_request(*args)

    @functools.wraps(submit)
    def submitting(*args: Any) -> Any:
        ticket = submit(*args)
        marks.mark(ticket.job_id, "request parsed", entered.at)
        return ticket

    worker_class.handle_request, surface.submit = entering, submitting


def _of_ticket(ticket: Any, *args: Any) -> object:
    return ticket.job_id


def _of_new_job(result: Any, connection: Any, job: Any) -> object:
    return job.id


def _of_wakeup(result: Any, app: Any, producer: Any, wakeup: Any) -> object:
    return wakeup.job_id


def _of_frame(result: Any, mailbox: Any, frame: Any) -> object:
    return frame.job_id


def _of_follower(result: Any, follower: Any) -> object:
    return follower._ticket.job_id
