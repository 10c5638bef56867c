"""What one run of the trace left behind, and the visits and waits that can be read from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from foreman.simulation.drain.tally import Visit
from tests.bench.drain.clients import Answered

Bounds = Mapping[str, float]  # by model


@dataclass(frozen=True)
class LedgerLine:
    """A load, by its row; `at` is when it began, `has_lingered` that it waited for a linger."""

    queue: str
    at: datetime
    reason: str
    has_lingered: bool


@dataclass(frozen=True)
class Ledger:
    """What foreman itself has written down, once the trace is answered."""

    lines: Sequence[LedgerLine]  # the first one first
    fifo_swaps: int  # first in, first out, by the order of the rows
    swaps_avoided: int
    gpu_seconds_saved: float
    decided_s: Sequence[float]  # from the recorded end of a visit's last job to the next load
    printed: Sequence[tuple[float, Bounds]]  # GET /queues, again and again, with its time


@dataclass(frozen=True)
class Observed:
    """One run: the answers, and the target's log of loads, unloads and generations."""

    name: str
    slots: int
    answered: Sequence[Answered]
    log: Sequence[Mapping[str, Any]]
    ledger: Ledger | None = None
    picked_up_s: Sequence[float] = field(default_factory=list)  # on the idle system, afterwards

    @cached_property
    def began_at(self) -> float:
        return min(each.sent_at for each in self.answered)

    @property
    def makespan_s(self) -> float:
        """From the first request sent to the end of the last answer."""
        return max(each.ended_at for each in self.answered) - self.began_at

    @cached_property
    def generations(self) -> list[Mapping[str, Any]]:
        """In the order of their starts."""
        found = [each for each in self.log if each["event"] == "generation"]
        return sorted(found, key=lambda each: float(each["start"]))

    @cached_property
    def starts(self) -> dict[str, float]:
        """When the target began to generate, by job."""
        return {each["job_id"]: each["start"] for each in self.generations}

    @property
    def generating(self) -> float:
        """The part of its slots' time in which the target generated."""
        busy_s = sum(float(each["end"] - each["start"]) for each in self.generations)
        return busy_s / self.slots / self.makespan_s

    @cached_property
    def waits_s(self) -> dict[str, float]:
        """From sending to the start of generation, by job."""
        return {each.job_id: self.starts[each.job_id] - each.sent_at for each in self.answered}

    def waits_of(self, model: str) -> list[float]:
        return [self.waits_s[each.job_id] for each in self.answered if each.model == model]

    @cached_property
    def visits(self) -> list[Visit]:
        """What was loaded when, in seconds since the first request; a swap begins at its unload."""
        loads = [each for each in self.log if each["event"] == "load"]
        ends = [each["at"] - each["seconds"] for each in loads[1:]] + [float("inf")]
        return [self._visit(load, until) for load, until in zip(loads, ends, strict=True)]

    def _visit(self, load: Mapping[str, Any], until: float) -> Visit:
        loaded_at, model = load["at"], load["model"]
        ended = [g["end"] for g in self.generations if loaded_at <= g["start"] < until]
        left = [
            each
            for each in self.answered
            if each.model == model and each.sent_at < until <= self.starts[each.job_id]
        ]
        return Visit(
            target=0,
            queue=model,
            cause=load["reason"],
            swap_at=loaded_at - load["seconds"] - self.began_at,
            began_at=loaded_at - self.began_at,
            ended_at=max(ended, default=loaded_at) - self.began_at,
            jobs=len(ended),
            is_cut=bool(left),
        )

    def between_jobs_s(self) -> list[float]:
        """Within visits: from a generation's end to the next one's start, if that job waited."""
        sent_at = {each.job_id: each.sent_at for each in self.answered}
        return [
            after["start"] - before["end"]
            for before, after in pairwise(self.generations)
            if before["model"] == after["model"] and sent_at[after["job_id"]] < before["end"]
        ]

    def idle_before_s(self) -> list[float]:
        """Of each swap for which somebody waited: from the last generation's end to the unload.

        Without those before which the model was kept on purpose.
        """
        unloads = [each["at"] for each in self.log if each["event"] == "unload"]
        if self.ledger is not None:
            following = zip(unloads, self.ledger.lines[1:], strict=True)
            unloads = [at for at, line in following if not line.has_lingered]
        idle = []
        for at in unloads:
            before = max((g["end"] for g in self.generations if g["end"] <= at), default=None)
            waited = any(a.sent_at < (before or 0) < self.starts[a.job_id] for a in self.answered)
            if before is not None and waited:
                idle.append(at - before)
        return idle
