"""Faults on demand: which request meets which, and how long it holds.

What a fault does to a connection is done where the bytes are written (`generation`, `app`); here
is only the choice. `refuse` closes the listener and is not a rule: see `server`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gevent.event import Event

from foreman.simulation.decode import Refused
from foreman.simulation.names import parse_name


class FaultKind(StrEnum):
    ERROR500 = "error500"  # an error instead of an answer
    WEDGE = "wedge"  # hangs before any byte and without a slot; lists stay green
    STALL_BEFORE = "stall_before"  # has its slot, but no byte comes for `seconds`
    STALL_IN_STREAM = "stall_in_stream"  # the same after `after_tokens`
    CUT_BEFORE = "cut_before"  # the connection is reset before any byte
    CUT = "cut"  # reset after `after_tokens`
    HALF_LINE = "half_line"  # half of the next line, then the connection is closed
    ERROR_IN_STREAM = "error_in_stream"  # what Ollama says when its runner dies


IN_STREAM = {
    FaultKind.STALL_IN_STREAM,
    FaultKind.CUT,
    FaultKind.HALF_LINE,
    FaultKind.ERROR_IN_STREAM,
}


@dataclass(kw_only=True)
class Fault:
    """One rule. `seconds` None: until the rules are cleared; `times` None: every request."""

    kind: FaultKind
    model: str | None = None
    path: str | None = None  # None: every request for work, whatever its route
    times: int | None = None
    after_tokens: int = 0
    seconds: float | None = None
    cleared: Event = field(default_factory=Event)

    def hold(self) -> None:
        """Wait as long as this fault says."""
        self.cleared.wait(self.seconds)

    def meets(self, path: str, model: str | None, *, only_loads: bool) -> bool:
        # Who sets a fault for no path means work: foreman's own loads go through.
        if self.path is None and only_loads:
            return False
        if self.path not in (None, path) or (self.path is None and model is None):
            return False
        if self.model is None:
            return True
        return model is not None and parse_name(self.model).key == parse_name(model).key


class Faults:
    """The rules in the order in which they were set; the first that meets a request strikes."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._used: list[Fault] = []  # used up, but it may still hold somebody

    def add(self, rule: Mapping[str, Any]) -> None:
        known = {"kind", "model", "path", "times", "after_tokens", "seconds"}
        try:
            kind = FaultKind(rule.get("kind", ""))
        except ValueError as exc:
            raise Refused(400, f"no such fault: {rule.get('kind')!r}") from exc
        if unknown := set(rule) - known:
            raise Refused(400, f"a fault has no {', '.join(sorted(unknown))}")
        if rule.get("times") == 0:
            raise Refused(400, "a fault strikes at least once; null: always")
        self._rules.append(Fault(**{**rule, "kind": kind}))

    def take(
        self, path: str, model: str | None = None, *, only_loads: bool = False
    ) -> Fault | None:
        """The fault of this request, if any; `model` None: a route that generates nothing."""
        for rule in self._rules:
            if rule.meets(path, model, only_loads=only_loads):
                if rule.times is not None:
                    rule.times -= 1
                    self._rules = [r for r in self._rules if r.times != 0]
                    self._used.append(rule)
                return rule
        return None

    def clear(self) -> None:
        """Forget all rules; whoever is held by one goes on."""
        rules, self._rules, self._used = self._rules + self._used, [], []
        for rule in rules:
            rule.cleared.set()
