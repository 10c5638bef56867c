"""Retention: what is older than the settings say is removed, a little at a time."""

import logging
from collections.abc import Callable

from foreman.runtime import RelayRuntime
from foreman.store.retention import BATCH, remove_jobs, remove_swaps, remove_sync_payloads

log = logging.getLogger(__name__)

# Of each kind in one turn, 10 000 rows at most: what is left is the next turn's.
STATEMENTS_PER_TURN = 20


def retain(runtime: RelayRuntime) -> dict[str, int]:
    """Remove what is too old; returns how many rows of each kind."""
    settings = runtime.settings
    removed = {
        "jobs": _remove(runtime, remove_jobs, settings.retention_days),
        "payloads": _remove(runtime, remove_sync_payloads, settings.sync_payload_days),
        "swaps": _remove(runtime, remove_swaps, settings.retention_days),
    }
    if any(removed.values()):
        log.info("old rows removed", extra=removed)
    return removed


def _remove(runtime: RelayRuntime, remove: Callable[..., int], days: float | None) -> int:
    removed = 0
    for _ in range(STATEMENTS_PER_TURN if days is not None else 0):
        with runtime.database.statement() as connection:
            count = remove(connection, older_than_days=days)
        removed += count
        if count < BATCH:
            break
    return removed
