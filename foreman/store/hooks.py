"""Hooks: who is told of a job, with which secrets."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    ARRAY,
    Connection,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, array

from foreman.config import Settings
from foreman.core.receivers import parse_receiver
from foreman.core.states import JobState
from foreman.core.webhooks import EVENT_TYPES, make_secret, secret_key
from foreman.refusals import WebhookRefused
from foreman.store.fixed import FixedStatement
from foreman.store.hook_models import Hook
from foreman.store.models import Job
from foreman.store.outbox import owe
from foreman.store.sealing import Seal

SECRET_BYTES = 32
# How long the secret before the newest one goes on signing.
OVERLAP_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHook:
    """Who is to be told of a new job; made by `hook_for`."""

    job_id: UUID
    url: str = field(repr=False)  # its path or query may hold a token
    events: tuple[str, ...] | None = None  # None: all of them
    secrets: tuple[str, ...] = field(default=(), repr=False)  # sealed; none: foreman's own sign
    shown_secret: str | None = field(default=None, repr=False)  # made here, to be shown once


def hook_for(
    settings: Settings,
    job_id: UUID,
    url: str | None,
    events: Sequence[str] | None = None,
    secret: str | None = None,
) -> NewHook | None:
    """The hook of a job that asks for one, or FOREMAN_WEBHOOK_URL's; None without either.

    A receiver of the job's own gets a secret of its own, made here when it brings none: with
    FOREMAN_WEBHOOK_SECRET anybody could have bodies signed that the default receiver believes.
    WebhookRefused names the field that is wrong. Whether foreman may call the URL is not asked.
    """
    is_own = url is not None and url != settings.webhook_url
    url = url or settings.webhook_url
    if url is None:
        return None
    if unknown := set(events or ()).difference(EVENT_TYPES):
        raise WebhookRefused(f"there is no event {min(unknown)}", field="webhook.events")
    if secret is not None:
        try:
            secret_key(secret)
        except ValueError as exc:
            raise WebhookRefused(str(exc), field="webhook.secret") from exc
    made = make_secret(secrets.token_bytes(SECRET_BYTES)) if is_own and secret is None else None
    live = secret or made
    return NewHook(
        job_id=job_id,
        url=url,
        events=None if events is None else tuple(events),
        secrets=(Seal(settings.secret_keys).seal(live),) if live else (),
        shown_secret=made,
    )


def _adding() -> FixedStatement:
    names = ["job_id", "url", "receiver", "events", "secrets"]
    given = (
        func.jsonb_to_recordset(bindparam("hooks", type_=JSONB))
        .table_valued(
            column("job_id", Uuid),
            column("url", Text),
            column("receiver", Text),
            column("events", ARRAY(Text)),
            column("secrets", ARRAY(Text)),
        )
        .render_derived(name="given", with_types=True)
    )
    return FixedStatement(insert(Hook).from_select(names, select(given)))


def _owing() -> FixedStatement:
    wanted = Job.id == func.any(bindparam("job_ids", type_=ARRAY(Uuid)))
    new = select(Job.id, Job.seq, Job.attempt, Job.fence).where(wanted).cte("new")
    return FixedStatement(owe(new, JobState.QUEUED, null()))


_ADD, _OWE = _adding(), _owing()


def add_hooks(connection: Connection, hooks: Sequence[NewHook]) -> None:
    """Note who is told of these jobs, and owe the `job.queued` of each.

    In the transaction that has just inserted the jobs with their first events. ValueError for a
    URL that is none.
    """
    if not hooks:
        return
    _ADD.run(connection, {"hooks": Jsonb([_row(hook) for hook in hooks])})
    _OWE.run(connection, {"job_ids": [hook.job_id for hook in hooks]})


def copy_hook(connection: Connection, old_id: UUID, new_id: UUID) -> None:
    """Tell the receiver of one job of another, by the same secrets; nothing where it is gone.

    In the transaction that has just inserted the other one.
    """
    kept = (Hook.url, Hook.receiver, Hook.events, Hook.secrets, Hook.old_secrets_until)
    old = select(literal(new_id), *kept).where(Hook.job_id == old_id, Hook.gone_at.is_(None))
    connection.execute(insert(Hook).from_select(["job_id", *(column.key for column in kept)], old))
    _OWE.run(connection, {"job_ids": [new_id]})


def _row(hook: NewHook) -> dict[str, Any]:
    return {
        "job_id": str(hook.job_id),
        "url": hook.url,
        "receiver": parse_receiver(hook.url).name,
        "events": hook.events,
        "secrets": hook.secrets,
    }


def rotate_secret(
    connection: Connection,
    settings: Settings,
    job_id: UUID,
    *,
    secret: str | None = None,
    overlap_s: float = OVERLAP_S,
) -> str | None:
    """Give a job's own hook a new secret (made here without `secret`) and return it.

    The one before signs beside it for `overlap_s`. None when the job has no hook of its own. Every
    delivery from now on is signed anew, those owed already, too.
    """
    new = secret or make_secret(secrets.token_bytes(SECRET_BYTES))
    secret_key(new)  # ValueError
    rotated = (
        update(Hook)
        .where(Hook.job_id == job_id, func.cardinality(Hook.secrets) > 0)
        .values(
            secrets=array([Seal(settings.secret_keys).seal(new), Hook.secrets[1]]),
            old_secrets_until=func.now() + timedelta(seconds=overlap_s),
        )
        .returning(Hook.job_id)
    )
    return new if connection.scalar(rotated) is not None else None
