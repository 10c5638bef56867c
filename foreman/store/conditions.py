"""Conditions on jobs that more than one verb asks for."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, exists, false, func, literal_column, or_

from foreman.core.states import Source
from foreman.store.models import Job, Target, WebProcess


def web_is_alive(silence: ColumnElement[timedelta]) -> ColumnElement[bool]:
    """The web process whose client waits has a fresh heartbeat."""
    seen = WebProcess.seen_at > func.now() - silence
    return exists().where(WebProcess.id == Job.web_id, seen)


def worker_is_alive() -> ColumnElement[bool]:
    """The worker that runs the job still holds the lease of its target."""
    is_its = and_(Target.name == Job.target, Target.worker == Job.worker)
    return exists().where(is_its, Target.lease_until > func.now())


def has_paused() -> ColumnElement[bool]:
    """The pause before another attempt is over, or there was none."""
    return or_(Job.ready_at.is_(None), Job.ready_at <= func.now())


def is_too_late_to_start() -> ColumnElement[bool]:
    """Of queued jobs: the time is over within which they had to start.

    One that was accepted with 202 has to start once in time; it may be tried again after that.
    """
    is_late = func.coalesce(Job.expires_at <= func.now(), false())
    is_sync = Job.source == literal_column(f"'{Source.SYNC}'")
    return and_(is_late, or_(Job.working_at.is_(None), is_sync))


def is_overdue() -> ColumnElement[bool]:
    """The time is over within which they had to end."""
    return func.coalesce(Job.deadline_at <= func.now(), false())
