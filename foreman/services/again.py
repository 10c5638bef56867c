"""Try an ended job again: a new job with its request. The old one stays as it ended."""

from dataclasses import dataclass
from uuid import UUID

from foreman.core.fingerprint import fingerprint_of_retry
from foreman.core.queues import JobClass, Wakeup, class_queue
from foreman.core.states import END_STATES, Source
from foreman.errors import ServerBusy, ShuttingDown
from foreman.ids import new_id
from foreman.refusals import KeyReused, NotEnded, NotRetryable
from foreman.runtime import WebRuntime
from foreman.services.accept import held
from foreman.services.history import find
from foreman.services.limits import check_room
from foreman.store.accept import KeyHolder, take_key
from foreman.store.hooks import copy_hook
from foreman.store.job_rows import JobRow
from foreman.store.retry import copy_job


@dataclass(frozen=True, slots=True)
class Retried:
    """The new job, which the same key may have made before."""

    job: JobRow
    is_replayed: bool = False


def retry(runtime: WebRuntime, old_id: UUID, key: str | None = None) -> Retried:
    """Accept and publish a copy of an ended asynchronous job.

    A caller's key makes one copy, however often it comes; a repeat is not judged again.
    """
    if runtime.is_stopping:
        raise ShuttingDown
    if key is not None and (holder := held(runtime, [key]).get(key)):
        return _repeat(runtime, old_id, holder)
    old = _retryable(runtime, old_id)
    check_room(runtime, old.queue, old.model)
    job_id = new_id()
    with runtime.database.transaction() as connection:
        if not copy_job(connection, old_id, job_id):
            raise NotRetryable("the request of the job was removed with its age")
        copy_hook(connection, old_id, job_id)
        is_new = key is None or take_key(connection, key, fingerprint_of_retry(old_id), job_id)
        if not is_new:
            connection.rollback()
    if key is not None and not is_new:
        holder = held(runtime, [key]).get(key)
        if holder is None:
            raise ServerBusy("server busy, please try again: the key's job is being removed")
        return _repeat(runtime, old_id, holder)
    queue = class_queue(old.queue, JobClass(old.job_class), old.pinned_target)
    runtime.publisher.send(Wakeup(job_id, queue, old.model, None))
    return Retried(find(runtime, job_id))


def _retryable(runtime: WebRuntime, old_id: UUID) -> JobRow:
    old = find(runtime, old_id)
    if old.source != Source.ASYNC:
        raise NotRetryable("the job was synchronous: its caller has the answer, and may ask again")
    if old.state not in END_STATES:
        raise NotEnded(f"the job is {old.state}; only an ended one can be tried again")
    return old


def _repeat(runtime: WebRuntime, old_id: UUID, holder: KeyHolder) -> Retried:
    if holder.fingerprint != fingerprint_of_retry(old_id):
        raise KeyReused()
    return Retried(find(runtime, holder.job_id), is_replayed=True)
