"""One child process: its own session and log, tied to our life, stopped without a remainder.

Written instead of used: supervisord has no parent-death signal, so its own kill -9 leaves all of
its children; it restarts after 1.0 s and reaps one process a second (both measured), and it tells
who keeps dying only through an XML-RPC server.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from foreman.embedded.places import Account
from foreman.embedded.waiting import StartFailed, no_check, wait_until
from foreman.tree import ROOT

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
# Logs are append-only files of the child itself, so they outlive us; cut when they reach this.
LOG_BYTES = 10 * 1024 * 1024
LAST_GRACE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run, and how to end it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    account: Account | None = None  # another user to run as, when we are root
    stop_signal: signal.Signals = signal.SIGTERM
    is_needed: bool = True  # False: foreman is ready without it


class Process:
    """A running `Command`, in a process group of its own."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.started_at = time.monotonic()
        self._popen = self._spawn()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._popen.poll()

    def ask_to_stop(self) -> None:
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                self._popen.send_signal(self.command.stop_signal)

    def kill_group(self) -> None:
        """End whatever is left of the group: a dead leader's children hold its sockets."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command, account = self.command, self.command.account
        with command.log.open("ab") as log:
            try:
                return subprocess.Popen(
                    command.argv,
                    env=command.env,
                    cwd=ROOT if account is None else "/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    preexec_fn=_tether(command.stop_signal),
                )
            except OSError as exc:
                raise StartFailed(f"{command.name} cannot be started: {exc}") from exc


def stop(
    processes: list[Process], *, grace_s: float, is_urgent: Callable[[], bool] = lambda: False
) -> None:
    """Stop them together; what still runs after `grace_s`, or when it is urgent, is killed."""
    for process in processes:
        process.ask_to_stop()

    def is_over() -> bool:
        return all(process.exit_code is not None for process in processes)

    wait_until(lambda: is_over() or is_urgent(), timeout_s=grace_s)
    # Even in a hurry: a killed PostgreSQL has to repair itself at its next start.
    wait_until(is_over, timeout_s=LAST_GRACE_S)
    for process in processes:
        process.kill_group()


def run_once(command: Command, *, timeout_s: float, check: Callable[[], None] = no_check) -> None:
    """Run to the end; StartFailed, with the log's end, unless it succeeds in time."""
    process = Process(command)
    try:
        is_over = wait_until(
            lambda: process.exit_code is not None, timeout_s=timeout_s, check=check
        )
    finally:
        stop([process], grace_s=5)
    if not is_over:
        raise StartFailed(f"{command.name} took more than {timeout_s:g} s\n{log_end(command.log)}")
    if process.exit_code != 0:
        raise StartFailed(f"{command.name} failed\n{log_end(command.log)}")


def log_end(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log under its name, to show to the user."""
    text = log.read_text(errors="replace") if log.exists() else ""
    last = "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
    return f"the end of {log}:\n{last or '    (empty)'}"


def rotate(log: Path, limit_bytes: int = LOG_BYTES) -> None:
    """Move a long log aside by copy and cut: the child goes on appending to the same file."""
    if log.exists() and log.stat().st_size > limit_bytes:
        log.with_suffix(".log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)


def _tether(signum: signal.Signals) -> Callable[[], None] | None:
    """Let the kernel send `signum` to the child when we die, even by kill -9 (Linux only).

    "We" is the thread that forks, so only the main thread ties its children.
    """
    if LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent = LIBC, os.getpid()

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # we died before the call
            os._exit(1)

    return tie
