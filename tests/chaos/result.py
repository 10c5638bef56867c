"""What a row came to: counts for the tables, what clients saw, what was violated."""

import os
from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.chaos import answers, oracle
from tests.chaos.row import Row
from tests.chaos.values import Ending, Evidence, Record, Violation


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one row came to: counts for the table, and what was violated."""

    row: str
    part: str
    broker: str
    seed: int
    requests: int
    done: int
    errors: int
    refused: int
    jobs: int
    ended: int
    webhooks: int
    again: int  # generations beyond one for each job
    recovery_s: float | None
    usual_s: float  # what a recovery takes when nothing is broken
    load_average: float  # of the machine at the row's end, over a minute
    violations: list[dict[str, str]]
    seen: dict[str, dict[str, int]] = field(default_factory=dict)  # by phase, what clients saw
    # Of rows that keep them: each request, when it began and how long it took (s), its outcome.
    clients: list[tuple[str, str, float, float, str]] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return not self.violations


def result_of(
    row: Row, broker: str, seed: int, evidence: Evidence, violations: list[Violation]
) -> Result:
    asked = [each for each in evidence.records if each.kind in oracle.ANSWERED and not each.is_odd]
    refused = sum(each.status in (429, 503) for each in asked)
    done = sum(oracle.is_done(each) for each in asked)
    runs = Counter(each["job_id"] for each in evidence.generations if each["job_id"])
    times = evidence.times
    return Result(
        row=row.name,
        part=row.part,
        broker=broker,
        seed=seed,
        requests=len(asked),
        done=done,
        errors=len(asked) - done - refused,
        refused=refused,
        jobs=len({job.job_id for job in evidence.accepted}),
        ended=sum(
            bool(found and found["ended_at"])
            for found in (evidence.rows.get(i) for i in {job.job_id for job in evidence.accepted})
        ),
        webhooks=len(evidence.delivered),
        again=runs.total() - len(runs),
        recovery_s=None if times.recovered is None else round(times.recovered - times.healed, 1),
        usual_s=round(times.usual_s, 1),
        load_average=round(os.getloadavg()[0], 1),
        violations=[asdict(each) for each in violations],
        seen=_seen(evidence),
        clients=_clients(evidence) if row.keeps_clients else [],
    )


def _clients(evidence: Evidence) -> list[tuple[str, str, float, float, str]]:
    began = evidence.times.injected
    return [
        (
            each.kind,
            each.web,
            round(each.started - began, 2),
            round(each.ended - each.started, 2),
            _outcome(each),
        )
        for each in sorted(evidence.records, key=lambda each: each.started)
    ]


def _seen(evidence: Evidence) -> dict[str, dict[str, int]]:
    """How the requests ended, by the phase in which they began."""
    times = evidence.times
    phases: dict[str, Counter[str]] = {"before": Counter(), "fault": Counter(), "after": Counter()}
    for record in evidence.records:
        phase = "before" if record.started < times.injected else "fault"
        phase = "after" if record.started >= times.healed else phase
        phases[phase][_outcome(record)] += 1
    return {phase: dict(counts.most_common()) for phase, counts in phases.items()}


def _outcome(record: Record) -> str:
    if record.kind in oracle.ANSWERED and oracle.is_done(record):
        return f"{record.kind}: whole"
    if record.kind not in oracle.ANSWERED and record.status in (200, 202):
        return f"{record.kind}: accepted"
    if record.ending is not Ending.WHOLE:
        return f"{record.kind}: {record.status or ''} {record.ending}".replace("  ", " ")
    if record.status == 200:
        return f"{record.kind}: 200, then {answers.heard(record).error}"
    return f"{record.kind}: {record.status}"
