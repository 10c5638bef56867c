"""Accept asynchronous jobs: judge, insert, publish. What is answered with 202 is on the disk.

A caller's key makes one job, however often and from however many threads it comes. A repeat is
answered from what its key holds: it is not judged again, and no limit counts it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID

from foreman.adapters.webhook import check_receiver_url
from foreman.core.fingerprint import fingerprint
from foreman.core.origin import UNKNOWN, Origin
from foreman.core.queues import JobClass, Wakeup, class_queue
from foreman.core.reshape import residency_for, with_one_size
from foreman.errors import ForemanError, SecretUnreadable, ServerBusy, ShuttingDown
from foreman.ids import new_id
from foreman.refusals import KeyReused
from foreman.runtime import WebRuntime
from foreman.services.accepted import log_accepted
from foreman.services.judge import Judge
from foreman.services.limits import check_room
from foreman.store import accept as rows
from foreman.store.accept import AcceptedJob, KeyHolder, Times
from foreman.store.hooks import NewHook, add_hooks, hook_for
from foreman.store.sealing import Seal

log = logging.getLogger(__name__)

HEADERS = [("Content-Type", "application/json")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a caller asks for; `ttl_s` is until the start, `deadline_s` until the end."""

    endpoint: str
    request: bytes = field(repr=False)  # the body for that route, as the caller wrote it
    job_class: JobClass = JobClass.BATCH
    ttl_s: float | None = None
    deadline_s: float | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    max_attempts: int | None = None
    keeps_stream: bool = False
    origin: Origin = UNKNOWN
    target: str | None = None
    webhook_url: str | None = field(default=None, repr=False)  # its path or query may hold a token
    webhook_events: tuple[str, ...] | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that may be accepted, and who is told of it."""

    job: AcceptedJob
    hook: NewHook | None


@dataclass(frozen=True, slots=True)
class New:
    """A job that was accepted just now."""

    job: AcceptedJob
    times: Times
    webhook_secret: str | None = field(repr=False)  # made here


@dataclass(frozen=True, slots=True)
class Replayed:
    """The job that the same key and the same request made before."""

    job_id: UUID
    webhook_secret: str | None = field(repr=False)  # made here: the first answer may be lost


Outcome = New | Replayed | ForemanError


def prepare(runtime: WebRuntime, ask: Ask, judge: Judge) -> Prepared:
    """The job that would be accepted; Unprocessable names what is wrong with it."""
    num_ctx = runtime.settings.num_ctx
    looked = judge.look(ask.request, ask.endpoint)
    model = judge.model(looked, ask.target)
    sent = with_one_size(ask.request, ask.endpoint, looked.places, num_ctx=num_ctx)
    residency = residency_for(model, looked, sent, num_ctx=num_ctx)
    check_room(runtime, residency.queue, residency.model)
    job = AcceptedJob(
        id=new_id(),
        endpoint=ask.endpoint,
        model=residency.model,
        queue=residency.queue,
        job_class=ask.job_class,
        max_attempts=ask.max_attempts or runtime.settings.max_attempts,
        body=sent.body,
        headers=HEADERS,
        pinned_target=ask.target,
        origin=ask.origin,
        labels=ask.labels,
        keeps_stream=ask.keeps_stream,
        ttl_s=ask.ttl_s,
        deadline_s=ask.deadline_s,
        key=ask.key,
        fingerprint=_fingerprint(runtime, ask) if ask.key else None,
    )
    return Prepared(job, _hook(runtime, ask, job.id))


def held(runtime: WebRuntime, keys: Sequence[str]) -> dict[str, KeyHolder]:
    """Who holds these keys: their asks are answered by `repeat`, and not prepared."""
    if not keys:
        return {}
    with runtime.database.statement() as connection:
        return rows.holders_of(connection, keys)


def repeat(runtime: WebRuntime, ask: Ask, holder: KeyHolder) -> Replayed:
    """The job of an ask whose key is held; KeyReused when another request made that."""
    if holder.fingerprint != _fingerprint(runtime, ask):
        raise KeyReused()
    return _replayed(runtime, holder, shows_secret=ask.webhook_secret is None)


def accept(runtime: WebRuntime, ask: Ask) -> New | Replayed:
    """Accept one job and publish its wake-up."""
    if ask.key and (holder := held(runtime, [ask.key]).get(ask.key)):
        return repeat(runtime, ask, holder)
    outcome = accept_all(runtime, [prepare(runtime, ask, Judge(runtime))], is_published=True)[0]
    if isinstance(outcome, ForemanError):
        raise outcome
    if isinstance(outcome, New):
        job = outcome.job
        log_accepted(job)
        runtime.publisher.send(
            Wakeup(
                job.id,
                class_queue(job.queue, job.job_class, job.pinned_target),
                job.model,
                None,
            )
        )
    return outcome


def accept_all(
    runtime: WebRuntime, prepared: Sequence[Prepared], *, is_published: bool
) -> list[Outcome]:
    """Accept these jobs together; what became of each, in their order."""
    if runtime.is_stopping:
        raise ShuttingDown
    jobs = [each.job for each in prepared]
    hooks = [each.hook for each in prepared if each.hook]
    # A job without a hook is one statement, and needs no BEGIN and COMMIT around it.
    opened = runtime.database.transaction() if hooks else runtime.database.statement()
    with opened as connection:
        new = rows.insert_jobs(connection, jobs, is_published=is_published)
        add_hooks(connection, [hook for hook in hooks if hook.job_id in new])
        taken = [job.key for job in jobs if job.key and job.id not in new]
        holders = rows.holders_of(connection, taken) if taken else {}
    return [_outcome(runtime, each, new, holders) for each in prepared]


def _hook(runtime: WebRuntime, ask: Ask, job_id: UUID) -> NewHook | None:
    if ask.webhook_url is not None:
        check_receiver_url(ask.webhook_url, runtime.settings)
    return hook_for(
        runtime.settings, job_id, ask.webhook_url, ask.webhook_events, ask.webhook_secret
    )


def _outcome(
    runtime: WebRuntime,
    prepared: Prepared,
    new: dict[UUID, Times],
    holders: dict[str, KeyHolder],
) -> Outcome:
    job, made = prepared.job, prepared.hook.shown_secret if prepared.hook else None
    if job.id in new:
        # Without the body: the database has it, and the caller may wait for the job's end.
        return New(replace(job, body=b""), new[job.id], made)
    holder = holders.get(job.key or "")
    if holder is None:
        return ServerBusy("server busy, please try again: the key's job is being removed")
    if holder.fingerprint != job.fingerprint:
        return KeyReused()
    return _replayed(runtime, holder, shows_secret=made is not None)


def _replayed(runtime: WebRuntime, holder: KeyHolder, *, shows_secret: bool) -> Replayed:
    """The job that was made before, with the secret that was made for it."""
    if not shows_secret or holder.secret is None:
        return Replayed(holder.job_id, None)
    try:
        return Replayed(holder.job_id, Seal(runtime.settings.secret_keys).open(holder.secret))
    except SecretUnreadable:
        log.warning("webhook secret not shown again", extra={"job_id": str(holder.job_id)})
        return Replayed(holder.job_id, None)


def _fingerprint(runtime: WebRuntime, ask: Ask) -> bytes:
    """SHA-256 of all that was asked for but the key."""
    asked = {each.name: getattr(ask, each.name) for each in fields(ask)}
    # By the fingerprints that are stored, a key belongs to a client's name, not to its address.
    asked["client"] = asked.pop("origin").client
    del asked["key"], asked["request"]
    return runtime.turns.run(fingerprint(ask.request, asked), len(ask.request))
