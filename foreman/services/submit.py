"""Place a generation request and accept it as a job, or say which target to ask instead.

When in doubt, the target is asked: what foreman cannot place gets the target's own answer. It may
still be a generation, so that such requests are bounded like embeddings (`direct`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from uuid import UUID

from foreman.adapters.inbox import Mailbox
from foreman.core import headers as header_rules
from foreman.core.bodies import Look, read, size_to_read
from foreman.core.frames import Headers
from foreman.core.origin import UNKNOWN, Origin
from foreman.core.priority import class_of
from foreman.core.queues import (
    JobClass,
    Residency,
    Wakeup,
    canonical_name,
    class_queue,
    is_cloud_name,
)
from foreman.core.reading.scan import Unreadable
from foreman.core.reshape import Reshaped, residency_for, with_one_size
from foreman.core.states import Source
from foreman.core.surface import Route, Targets
from foreman.errors import ServerBusy, ShuttingDown
from foreman.ids import new_id
from foreman.runtime import WebRuntime
from foreman.services.accepted import log_accepted
from foreman.services.limits import check_room
from foreman.services.meant import answering, chosen_target, is_long_away, nobody_answers
from foreman.store import jobs
from foreman.turns import SMALL_BYTES, Turns


@dataclass(frozen=True, kw_only=True)
class Request:
    """A client's request, as it came."""

    route: Route
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = field(repr=False)
    turns: Turns = field(repr=False)
    named_class: JobClass | None = None  # by X-Foreman-Priority
    origin: Origin = UNKNOWN

    @cached_property
    def look(self) -> Look | None:
        """What its body asks for; None when Ollama would not accept it. It is read once."""
        encoding = header_rules.find(self.headers, "content-encoding") or ""
        reading = read(
            self.body,
            self.route.path,
            content_type=header_rules.find(self.headers, "content-type") or "",
            content_encoding=encoding,
            query=self.query,
        )
        size = size_to_read(
            self.body, self.route.path, content_encoding=encoding, small_bytes=SMALL_BYTES
        )
        try:
            return self.turns.run(reading, size)
        except Unreadable:
            return None

    @property
    def job_class(self) -> JobClass:
        """How long its caller is willing to wait."""
        return class_of(self.named_class, self.look)


@dataclass(frozen=True, slots=True)
class Queued:
    """The request is a job for this residency."""

    residency: Residency
    job_class: JobClass
    streams: bool
    sent: Reshaped
    pinned_target: str | None = None


@dataclass(frozen=True, slots=True)
class Direct:
    """The request needs no slot, or cannot be placed: the first of these that can answers it."""

    targets: Sequence[str]
    needs_place: bool = True  # it might make the target work
    is_for_each: bool = False  # each of them is to get it


@dataclass(frozen=True, slots=True)
class Ticket:
    """An accepted job whose client waits here."""

    job_id: UUID
    mailbox: Mailbox
    request: Request
    streams: bool
    change: str  # of the body that was sent, see `core.reshape`
    model: str  # its canonical name
    pinned_target: str | None = None


def place(runtime: WebRuntime, request: Request) -> Queued | Direct:
    """Say how a generation request is served."""
    pinned, looked = _pinned(runtime, request), request.look
    if looked is None:
        return Direct(_any(runtime, pinned))
    if is_cloud_name(looked.model):
        return Direct(_any(runtime, pinned), needs_place=False)
    model = canonical_name(looked.model)
    found = runtime.catalog.find(model, on=pinned) if model else None
    if model is None or found is None:
        return Direct(_any(runtime, pinned))
    if looked.is_unload or found.is_remote:
        is_for_each = looked.is_unload and request.route.unload_at is Targets.ALL_HAVING
        able = answering(runtime, found.targets)
        return Direct(able, needs_place=False, is_for_each=is_for_each)
    driven = [name for name in found.targets if name in runtime.leased]
    if not driven or is_long_away(runtime, driven):
        raise nobody_answers(runtime, found.targets)
    num_ctx = runtime.settings.num_ctx
    sent = with_one_size(request.body, request.route.path, looked.places, num_ctx=num_ctx)
    residency = residency_for(model, looked, sent, num_ctx=num_ctx)
    return Queued(residency, request.job_class, looked.streams, sent, pinned)


def _any(runtime: WebRuntime, pinned: str | None) -> Sequence[str]:
    return answering(runtime, [pinned] if pinned else runtime.catalog.targets)


def _pinned(runtime: WebRuntime, request: Request) -> str | None:
    """The target that X-Foreman-Target names, if it does."""
    wanted = header_rules.find(request.headers, header_rules.TARGET.lower())
    return None if wanted is None else chosen_target(runtime, wanted)


def submit(runtime: WebRuntime, request: Request, queued: Queued) -> Ticket:
    """Accept the request as a job, publish its wake-up, open its mailbox."""
    if runtime.is_stopping:
        raise ShuttingDown
    if not runtime.inbox.is_consuming:
        raise ServerBusy("server busy, please try again: the result channel is not connected")
    residency = queued.residency
    check_room(runtime, residency.queue, residency.model)
    job = jobs.NewJob(
        id=new_id(),
        source=Source.SYNC,
        endpoint=request.path,
        model=residency.model,
        queue=residency.queue,
        job_class=queued.job_class,
        max_attempts=runtime.settings.max_attempts,
        web_id=runtime.web_id,
        wait_s=runtime.settings.sync_wait_s,
        pinned_target=queued.pinned_target,
        streams=queued.streams,
        origin=request.origin,
        query=request.query,
        headers=header_rules.for_target(request.headers),
        body=queued.sent.body,
    )
    # The mailbox first: no early frame may find nobody.
    mailbox = runtime.inbox.open(job.id)
    try:
        with runtime.database.statement() as connection:
            jobs.insert_job(connection, job)
    except BaseException:
        runtime.inbox.forget(job.id)
        raise
    log_accepted(job)
    queue = class_queue(job.queue, job.job_class, job.pinned_target)
    runtime.publisher.send(Wakeup(job.id, queue, job.model, job.web_id))
    without_body = replace(request, body=b"")  # the database has it; the client may wait for long
    return Ticket(
        job.id,
        mailbox,
        without_body,
        queued.streams,
        queued.sent.change,
        residency.model,
        queued.pinned_target,
    )
