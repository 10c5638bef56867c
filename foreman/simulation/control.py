"""The tests' own routes under /_sim/: the log, the state, and faults on demand."""

import json
from collections.abc import Callable
from typing import Any

from foreman.simulation.connection import Exchange
from foreman.simulation.decode import Refused
from foreman.simulation.engine import Engine
from foreman.simulation.server import Server
from foreman.simulation.wire import go_json

PREFIX = "/_sim/"
JSON = "application/json"


class Control:
    """Routes by method and name; `server` is needed to refuse connections."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.server: Server | None = None

    def handle(self, exchange: Exchange) -> None:
        answers: dict[tuple[str, str], Callable[[], object]] = {
            ("GET", "log"): lambda: self._engine.log.events,
            ("GET", "state"): self._engine.state,
            ("DELETE", "log"): self._engine.log.clear,
            ("DELETE", "faults"): self._engine.faults.clear,
            ("POST", "faults"): lambda: self._set(exchange.body()),
        }
        answer = answers.get((exchange.method, exchange.path.removeprefix(PREFIX)))
        if answer is None:
            raise Refused(404, "no such control route")
        exchange.reply(200, go_json(answer()), JSON)

    def _set(self, body: bytes) -> None:
        """Add one rule or a list of them; `refuse` acts at once."""
        try:
            given: Any = json.loads(body)
        except ValueError as exc:
            raise Refused(400, f"a fault is a JSON object: {exc}") from exc
        for rule in given if isinstance(given, list) else [given]:
            if rule.get("kind") != "refuse":
                self._engine.faults.add(rule)
            elif self.server is not None:
                self.server.refuse(float(rule.get("seconds") or 1))
