"""What an operator is shown of a worker, and which queues it serves: read from its newest state."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from foreman.core.queues import residency_queue
from foreman.worker.state import LONG_AGO, Load, Park, Resident, State


def shown(state: State, *, now: float | None = None) -> dict[str, Any]:
    """The target, what it has loaded, what is loaded next and why, what waits, what runs."""
    now = time.monotonic() if now is None else now
    return {
        "target": state.lease.target if state.lease else None,
        "is_reachable": state.health.is_reachable,
        "sick_of": state.health.sick_of,
        "is_stopping": state.is_stopping,
        "residents": [_resident(state, each, now) for each in state.residents.values()],
        "load": _load(state.load, now) if state.load else None,
        "waiting": _waiting(state),
        "overdue": state.plan.overdue,
        "stuck": sorted(state.plan.stuck),
        "reason": _reason(state),
        "refused": sorted(state.refused),
        "undecodable": state.undecodable,
        "running": [job.job_id for job in state.jobs.values()],
        "utilization": round(state.utilization, 3),
        "view_age_s": None if state.view.at == LONG_AGO else round(now - state.view.at, 3),
    }


def served_queues(state: State) -> list[str]:
    """The model queues whose jobs this worker would take now, or is loading for."""
    wish = state.pulls.wish
    listened = map(residency_queue, wish.names) if isinstance(wish, Park) else ()
    loaded = [queue for queue, each in state.residents.items() if not each.is_closing]
    loading: Iterable[str] = [state.load.queue] if state.load else []
    return sorted({*listened, *loaded, *loading} - state.refused)


def _resident(state: State, resident: Resident, now: float) -> Mapping[str, Any]:
    return {
        "queue": resident.queue,
        "model": resident.model,
        "running": state.running(resident.queue),
        "jobs": resident.jobs,
        "dwell_s": round(now - resident.visit_at, 3),
        "size_bytes": resident.size_bytes,
        "is_pinned": resident.is_pinned,
        "is_closing": resident.is_closing,
        "is_doubted": resident.is_doubted,
        "is_lingering": resident.queue in state.plan.lingering,
    }


def _load(load: Load, now: float) -> Mapping[str, Any]:
    return {
        "queue": load.queue,
        "stage": load.stage,
        "since_s": round(now - load.since, 3),
        "reason": load.reason,
        "victims": list(load.victims),
    }


def _waiting(state: State) -> Mapping[str, int]:
    waiting = state.view.waiting
    return {queue: sum(each.count for each in waiting[queue]) for queue in sorted(waiting)}


def _reason(state: State) -> str:
    """Why it does what it does, or why it does nothing, whatever waits."""
    if state.is_stopping:
        return "it stops: nothing more is taken"
    if state.lease is None:
        return "it has no target: other workers drive them all, or it has just lost its own"
    if not state.health.is_reachable:
        return "its target does not answer"
    if state.health.sick_of is not None:
        return "its target is sick, and is asked for one token now and then"
    return state.plan.reason
