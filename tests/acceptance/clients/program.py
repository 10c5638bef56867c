"""A client written in another language, as a process that tells what it sees, a line an event."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

EXIT_LIMIT_S = 10.0


class Program:
    """Runs while it is entered. Its standard error is the test's own."""

    def __init__(self, command: Sequence[str], *, folder: Path) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:
            if error is not None:
                self.kill()

    def next(self) -> dict[str, Any]:
        """The next event; AssertionError when the program has ended without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the program ended; see its standard error"
        event: dict[str, Any] = json.loads(line)
        return event

    def rest(self) -> list[dict[str, Any]]:
        """All further events; the program must end well."""
        assert self._process.stdout is not None
        events = [json.loads(line) for line in self._process.stdout]
        assert self._process.wait(EXIT_LIMIT_S) == 0
        return events

    def leave(self) -> None:
        """Make the client leave its request, in the way its language has for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End the process without a word."""
        self._process.kill()
