"""What an error of the driver's means: the database is away for now, or a statement is wrong.

One table, by SQLSTATE (PostgreSQL's manual, appendix A). What it does not name is a defect, and
stays visible as one. Whoever operates the database finds each kind in the log, once in a while.
"""

import logging
import threading
import time

import psycopg

from foreman.errors import DatabaseUnavailable, StatementTooSlow

log = logging.getLogger(__name__)

# By class, the first two characters.
_AWAY_CLASSES = {
    "08": "no connection",
    "28": "it rejects the role",
    "3D": "there is no such database",
    "40": "a deadlock or a conflict: the transaction was undone",
    "53": "out of disk, memory or connections",
    "55": "a row or a table is locked, or not in a state for this",
    "57": "it shuts down, starts up, or ended the statement",
    "58": "an error of its system",
}
_AWAY = {
    "25006": "read-only",
    "25P03": "a transaction was idle for too long",
    "25P04": "a transaction took too long",
    "42501": "the role may not do this",  # a plan's limit may have withdrawn it
    "42P01": "there are no tables: run `python -m foreman migrate`",
}
_TOO_SLOW = "57014"
NO_STATE = ""  # of an error that never came from the server

# How often one kind of trouble is logged.
LOG_EVERY_S = 10.0


def failure_of(error: psycopg.Error) -> type[DatabaseUnavailable] | None:
    """The error that this one is for foreman; None for a defect."""
    state = error.sqlstate or NO_STATE
    if state == _TOO_SLOW:
        return StatementTooSlow
    if state:
        is_away = state in _AWAY or state[:2] in _AWAY_CLASSES
    else:
        is_away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return DatabaseUnavailable if is_away else None


class Reports:
    """Logs that the database fails: of each kind one line in LOG_EVERY_S, with its SQLSTATE."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}  # as many as there are kinds

    def add(self, error: Exception) -> None:
        """Log an error, unless one of its kind was logged a moment ago. It quotes no parameter."""
        state = getattr(error, "sqlstate", None) or NO_STATE
        now = time.monotonic()
        with self._lock:
            if now < self._logged_at.get(state, float("-inf")) + LOG_EVERY_S:
                return
            self._logged_at[state] = now
        meaning = _AWAY.get(state) or _AWAY_CLASSES.get(state[:2]) or "it does not answer"
        facts = {"sqlstate": state or None, "error": _summary(error), "meaning": meaning}
        log.warning("database unavailable", extra=facts)


def _summary(error: Exception) -> str:
    # Not its detail, which may quote a row.
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return primary or str(error).partition("\n")[0]
