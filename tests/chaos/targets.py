"""A simulated Ollama that can be killed and started again on its port, and its whole log."""

import os
import signal
from typing import Any

from foreman.embedded.probe import free_port
from foreman.simulation.process import SimulationProcess

MODELS = "chat-a=1GiB,chat-b=1GiB,embed-a=1GiB;caps=embedding"
CHAT_MODELS, EMBED_MODEL = ("chat-a", "chat-b"), "embed-a"


class TargetServer:
    """One target; `log` holds what it did before its deaths, too."""

    def __init__(self, name: str, *, slots: int, tokens_per_s: float) -> None:
        self.name = name
        self.port = free_port()
        self._process = SimulationProcess(
            port=self.port,
            models=MODELS,
            memory="8GiB",
            slots=slots,
            tokens_per_s=tokens_per_s,
            load_s=0.2,
        )
        self._before: list[dict[str, Any]] = []

    def start(self) -> None:
        self._process.start()

    def kill(self) -> None:
        """kill -9; what its clients were in the middle of is not in the log."""
        self._before += self._process.log()
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.stop()

    def stop(self) -> None:
        self._process.stop()

    def fault(self, kind: str, **rule: object) -> None:
        """Set a fault, as of `SimulationProcess`."""
        self._process.fault(kind, **rule)

    def end_faults(self) -> None:
        self._process.end_faults()

    def generations(self) -> list[dict[str, Any]]:
        """All generations since the last `clear`."""
        events = self._before + self._process.log()
        return [each | {"target": self.name} for each in events if each["event"] == "generation"]

    def clear(self) -> None:
        self._before.clear()
        self._process.clear()
