"""Try an ended job again: a new job with its request. The old one stays as it ended."""

from uuid import UUID

from foreman.core.queues import JobClass, Wakeup, class_queue
from foreman.core.states import END_STATES, Source
from foreman.errors import ShuttingDown
from foreman.ids import new_id
from foreman.refusals import NotEnded, NotRetryable
from foreman.runtime import WebRuntime
from foreman.services.history import find
from foreman.services.limits import check_room
from foreman.store.hooks import copy_hook
from foreman.store.job_rows import JobRow
from foreman.store.retry import copy_job


def retry(runtime: WebRuntime, old_id: UUID) -> JobRow:
    """Accept and publish a copy of an ended asynchronous job; returns its row."""
    if runtime.is_stopping:
        raise ShuttingDown
    old = find(runtime, old_id)
    if old.source != Source.ASYNC:
        raise NotRetryable("the job was synchronous: its caller has the answer, and may ask again")
    if old.state not in END_STATES:
        raise NotEnded(f"the job is {old.state}; only an ended one can be tried again")
    check_room(runtime, old.queue, old.model)
    job_id = new_id()
    with runtime.database.transaction() as connection:
        is_copied = copy_job(connection, old_id, job_id)
        if is_copied:
            copy_hook(connection, old_id, job_id)
    if not is_copied:
        raise NotRetryable("the request of the job was removed with its age")
    queue = class_queue(old.queue, JobClass(old.job_class), old.pinned_target)
    runtime.publisher.send(Wakeup(job_id, queue, old.model, None))
    return find(runtime, job_id)
