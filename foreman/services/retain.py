"""Retention: what is older than the settings say is removed, a little at a time."""

import logging
from collections.abc import Callable

from foreman.config import Settings
from foreman.errors import StatementTooSlow
from foreman.store.db import Database
from foreman.store.retention import (
    BATCH,
    remove_costs,
    remove_jobs,
    remove_swaps,
    remove_sync_payloads,
)

log = logging.getLogger(__name__)

# Of each kind in one turn, 10 000 rows at most: what is left is the next turn's.
STATEMENTS_PER_TURN = 20


def retain(database: Database, settings: Settings) -> dict[str, int]:
    """Remove what is too old; returns how many rows of each kind."""
    removed = {
        "jobs": _remove(database, remove_jobs, settings.retention_days),
        "payloads": _remove(database, remove_sync_payloads, settings.sync_payload_days),
        "swaps": _remove(database, remove_swaps, settings.retention_days),
        "costs": _remove(database, remove_costs, settings.retention_days),
    }
    if any(removed.values()):
        log.info("old rows removed", extra=removed)
    return removed


def _remove(database: Database, remove: Callable[..., int], days: float | None) -> int:
    removed, batch = 0, BATCH
    for _ in range(STATEMENTS_PER_TURN if days is not None else 0):
        try:
            with database.statement() as connection:
                count = remove(connection, older_than_days=days, limit=batch)
        except StatementTooSlow:
            log.warning("old rows took too long", extra={"kind": remove.__name__, "batch": batch})
            if batch == 1:
                break  # the next kind may go better
            batch //= 2  # the same rows again would take as long
            continue
        removed += count
        if count < batch:
            break
    return removed
