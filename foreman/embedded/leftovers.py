"""Processes of an earlier start on this data directory, found by a mark in their environment.

The kernel ends our children when we die, but a stop takes time, and where it cannot (macOS), the
servers' own pid files are all there is. Only call this with the data directory's lock.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from foreman.embedded.waiting import wait_until

MARK = "FOREMAN_EMBEDDED"  # its value is the data directory
SERVERS = {"postgres", "valkey-server", "redis-server"}
GRACE_S = 30


def find(data: Path) -> dict[int, str]:
    """Return the marked processes that run, as pid to program name."""
    mark = os.fsencode(f"{MARK}={data}")
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "comm").read_text().strip()
    return found


def stop(data: Path, *, check: Callable[[], None]) -> int:
    """Stop what an earlier start left, the servers last; return how many there were."""
    found = find(data)
    _end([pid for pid, name in found.items() if name not in SERVERS], data, check)
    # SIGINT is PostgreSQL's fast stop, and ends Valkey as SIGTERM does.
    _end([pid for pid, name in found.items() if name in SERVERS], data, check, signal.SIGINT)
    return len(found)


def _end(
    pids: list[int],
    data: Path,
    check: Callable[[], None],
    signum: signal.Signals = signal.SIGTERM,
) -> None:
    for ending, patience_s in ((signum, GRACE_S), (signal.SIGKILL, 5)):
        for pid in find(data).keys() & set(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, ending)
        if wait_until(lambda: not find(data).keys() & set(pids), timeout_s=patience_s, check=check):
            return
