"""A simulated Ollama in a process of its own, for tests and benchmarks."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from foreman.simulation.ollama import READY

_ANSWER_S = 10.0
# `-m` finds the package from here, wherever the caller stands.
_ROOT = Path(__file__).parents[2]


class SimulationProcess:
    """Started on `with` or `start()`; the options are those of the command line.

    `SimulationProcess(tokens_per_s=0, slots=2, models="a=4GiB,b=4GiB")`; the port is any free one
    unless given.
    """

    def __init__(self, **options: object) -> None:
        self._options: dict[str, object] = {"port": 0, **options}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> "SimulationProcess":
        """Start the process and wait until it listens."""
        command = [sys.executable, "-m", "foreman.simulation", *self._arguments()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(READY):
            self.stop()
            raise RuntimeError(f"the simulated ollama did not start: {line!r}")
        self.url = line.removeprefix(READY).strip()
        return self

    def stop(self) -> None:
        """End the process, if need be by force."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> "SimulationProcess":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The events so far, or those of one kind."""
        events: list[dict[str, Any]] = self._call("GET", "log")
        return [e for e in events if event in (None, e["event"])]

    def state(self) -> dict[str, Any]:
        """What is loaded, busy and waiting now, and the peaks since the log was cleared."""
        state: dict[str, Any] = self._call("GET", "state")
        return state

    def fault(self, kind: str, **rule: object) -> None:
        """Set a fault: model, path, times, after_tokens, seconds."""
        self._call("POST", "faults", {"kind": kind, **rule})

    def end_faults(self) -> None:
        """Forget all faults; who was held by one goes on, and the log stays."""
        self._call("DELETE", "faults")

    def clear(self) -> None:
        """Forget the log and all faults; who was held by one goes on."""
        self.end_faults()
        self._call("DELETE", "log")

    def _arguments(self) -> list[str]:
        arguments = []
        for name, value in self._options.items():
            if value is True:
                arguments.append(f"--{name.replace('_', '-')}")
            elif value is not False:
                arguments.append(f"--{name.replace('_', '-')}={value}")
        return arguments

    def _call(self, method: str, route: str, body: object = None) -> Any:
        given = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{route}", data=given, method=method)
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return json.load(answer)
