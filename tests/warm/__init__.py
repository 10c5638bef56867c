"""Processes that start warm: forked from one that has imported the libraries already.

Most of what a process of foreman spends on its start are imports. A forked one runs the same
`python -m …` with its own environment, output and process group; only in the list of processes it
has the arguments of what forked it. `web` and `worker` say what is imported before the fork.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What is run by `python -m`, and what forks it.
FORKED_BY = {
    "gunicorn": "tests.warm.web",
    "celery": "tests.warm.worker",
    "foreman": "tests.warm.worker",
}
LOOK_EVERY_S = 0.01


class Forked:
    """A forked process, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, warm: "Warm", pid: int) -> None:
        self._warm = warm
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status as `Popen` gives it, or None while the process runs."""
        if self.returncode is None:
            self.returncode = self._warm.ask({"pid": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        give_up_at = time.monotonic() + timeout if timeout is not None else None
        while (code := self.poll()) is None:
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise subprocess.TimeoutExpired([f"process {self.pid}"], timeout or 0.0)
            time.sleep(LOOK_EVERY_S)
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


class Warm:
    """A process that forks; it ends when its standard input does."""

    def __init__(self, module: str) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        atexit.register(self._process.communicate)

    def start(self, arguments: list[str], env: dict[str, str], log: Path) -> Forked:
        """Run `python` with these arguments; the output is appended to `log`."""
        request = {"arguments": arguments, "env": env, "log": str(log)}
        return Forked(self, int(self.ask(request)))

    def ask(self, request: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            return json.loads(stdout.readline())


_warm = cache(Warm)  # one of each in a test process, started when it is first needed


def start_warm(arguments: list[str], env: dict[str, str], log: Path) -> Forked:
    """Run `python` with these arguments, which `can_start_warm`; `log` gets the output."""
    return _warm(FORKED_BY[arguments[1]]).start(arguments, env, log)


def can_start_warm(arguments: list[str], env: dict[str, str]) -> bool:
    """Whether a fork is the same as a start: Python reads its own variables only at its start."""
    given = {name: value for name, value in env.items() if name.startswith("PYTHON")}
    own = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    is_known = arguments[0] == "-m" and arguments[1] in FORKED_BY
    return is_known and given == own | {"PYTHONUNBUFFERED": "1"}
