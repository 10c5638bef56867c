"""Keeping processes running: one that ends is started again, at once and then ever later.

Processes are started in stages and stopped stage by stage, the last one first.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from foreman.embedded.processes import Command, Process, log_end, rotate, stop
from foreman.embedded.waiting import StartFailed

# Seconds before the 1st, 2nd, … start in a row; the last one holds from there on.
DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S = 30.0  # a process that ran this long starts with a clean record
STOP_GRACE_S = 30.0  # web takes up to 25 s for its streams, a worker 20 s for its jobs
ROTATE_EVERY_S = 10.0


@dataclass
class Kept:
    """One process that is kept running, and its record."""

    command: Command
    process: Process
    failures: int = 0
    due_at: float | None = None  # when it is started again; None while it runs


class Supervisor:
    """All processes of one start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stages: list[list[Kept]] = []
        self._rotate_at = 0.0

    def start_stage(self, commands: Iterable[Command]) -> None:
        stage: list[Kept] = []
        self._stages.append(stage)  # before the first start: what has started is always stopped
        for command in commands:
            stage.append(Kept(command, Process(command)))

    def tick(self) -> None:
        """Look at every process once; call it several times a second."""
        now = time.monotonic()
        for kept in self._all():
            if kept.due_at is not None:
                if now >= kept.due_at:
                    self._start_again(kept)
            elif kept.process.exit_code is not None:
                self._note_end(kept, now)
        if now >= self._rotate_at:
            self._rotate_at = now + ROTATE_EVERY_S
            for kept in self._all():
                rotate(kept.command.log)

    def raise_for_failing(self) -> None:
        """Raise StartFailed when a needed process has ended three times in a row."""
        for kept in self._all():
            if kept.failures >= 3 and kept.command.is_needed:
                raise StartFailed(
                    f"{kept.command.name} does not stay up: {_how(kept.process)}\n"
                    f"{log_end(kept.command.log)}"
                )

    def stop(self, is_urgent: Callable[[], bool]) -> None:
        """Stop everything; at once when `is_urgent` says so, even in the middle."""
        while self._stages:
            stage = [kept.process for kept in self._stages[-1]]
            stop(stage, grace_s=STOP_GRACE_S, is_urgent=is_urgent)
            self._stages.pop()

    def _all(self) -> list[Kept]:
        return [kept for stage in self._stages for kept in stage]

    def _note_end(self, kept: Kept, now: float) -> None:
        kept.process.kill_group()
        was_steady = now - kept.process.started_at >= STEADY_S
        kept.failures = 1 if was_steady else kept.failures + 1
        kept.due_at = now + DELAYS_S[min(kept.failures, len(DELAYS_S)) - 1]
        self._say(
            f"{kept.command.name} ended ({_how(kept.process)}) and is started again; "
            f"its log: {kept.command.log}"
        )

    def _start_again(self, kept: Kept) -> None:
        try:
            kept.process = Process(kept.command)
            kept.due_at = None
        except StartFailed as exc:
            kept.due_at = time.monotonic() + DELAYS_S[-1]
            self._say(str(exc))


def _how(process: Process) -> str:
    code = process.exit_code or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"
