"""One row: load, fault, recovery, drain, evidence; the oracle has the last word."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos import answers, oracle
from tests.chaos.ground import WEBS, Ground
from tests.chaos.load import Load
from tests.chaos.row import Row, Scene, slack_s
from tests.chaos.values import Ending, Evidence, Kind, Record, Sample, Times, Violation

BEFORE_S, AFTER_S = 3.0, 3.0
LOOK_S, PROBE_S = 0.25, 1.0
# Beyond the promise: whether what is late comes at all.
LATE_S = 30.0


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
    violations: list[dict[str, str]]
    seen: dict[str, dict[str, int]] = field(default_factory=dict)  # by phase, what clients saw
    # Of rows that keep them: each request, when it began and how long it took (s), its outcome.
    clients: list[tuple[str, str, float, float, str]] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return not self.violations


def run_row(
    row: Row, ground: Ground, seed: int, *, before_s: float = BEFORE_S, after_s: float = AFTER_S
) -> Result:
    """Run one row on a ground that is whole, and judge it."""
    _forget(ground)
    for name, answer in row.receivers.items():
        ground.receivers.add(name, answer)
    began = time.time()
    receivers = tuple(row.receivers) or ("good",)
    load = Load(ground, row.shape, f"{row.name} {seed} {began:.0f}", receivers)
    scene = Scene(ground, load, load.random())
    with _sampling(ground) as samples:
        load.start()
        time.sleep(before_s)
        asked = time.time()
        usual_s = (_wait_for_answers(scene, asked, LATE_S) or asked + LATE_S) - asked
        injected = time.time()
        with row.fault(scene):
            time.sleep(max(injected + row.holds_s - time.time(), 0))
        healed = time.time() if row.holds_s else injected
        limit_s = row.promise.recovers_s + slack_s(usual_s) + LATE_S
        recovered = _wait_for_answers(scene, healed, limit_s)
        time.sleep(after_s)
        load.stop()
    times = Times(
        began=began,
        injected=injected,
        healed=healed,
        recovered=recovered,
        ended=time.time(),
        usual_s=usual_s,
    )
    _drain(ground, times, row)
    evidence = _gather(ground, load, times, samples)
    return _result(row, ground, seed, evidence, oracle.judge(evidence, row.promise))


def _forget(ground: Ground) -> None:
    for target in ground.targets.values():
        target.clear()
    ground.receivers.clear()


@contextmanager
def _sampling(ground: Ground) -> Iterator[list[Sample]]:
    """Ask each web process for its readiness, once a second."""
    samples: list[Sample] = []
    ends = threading.Event()

    def ask(web: str) -> None:
        while not ends.wait(PROBE_S):
            at = time.time()
            status, says = ground.readyz(web)
            samples.append(Sample(web=web, at=at, status=status, says=says))

    threads = [threading.Thread(target=ask, args=(web,), daemon=True) for web in WEBS]
    for thread in threads:
        thread.start()
    yield samples
    ends.set()
    for thread in threads:
        thread.join()


def _wait_for_answers(scene: Scene, since: float, limit_s: float) -> float | None:
    """When each web process has answered a request from after `since`, and a new job has ended."""
    probe_at, probe_s = 0.0, PROBE_S
    while time.time() < since + limit_s:
        if time.time() >= probe_at:
            # Seldom after a while: on a busy machine the probes themselves are a load.
            probe_at, probe_s = time.time() + probe_s, 1.5 * probe_s
            for web in WEBS:
                scene.load.probe(web)
            scene.load.probe_job(scene.random.choice(WEBS))
        if (at := _answered_at(scene, since)) is not None:
            return at
        time.sleep(LOOK_S)
    return None


def _answered_at(scene: Scene, since: float) -> float | None:
    load = scene.load
    firsts = []
    for web in WEBS:
        done = [
            record.ended
            for record in list(load.records)
            if record.web == web
            and record.started >= since
            and record.kind in (Kind.CHAT, Kind.SSE)
            and oracle.is_done(record)
        ]
        if not done:
            return None
        firsts.append(min(done))
    new = [job.job_id for job in list(load.accepted) if job.at >= since]
    query = (
        "SELECT extract(epoch FROM min(ended_at))::float AS at FROM jobs"
        " WHERE id = ANY(%s::uuid[]) AND state = 'succeeded'"
    )
    at = scene.ground.rows(query, new)[0]["at"] if new else None
    return None if at is None else max(*firsts, at)


def _drain(ground: Ground, times: Times, row: Row) -> None:
    """Wait until every job has ended and no delivery is pending, or it is certainly too late."""
    give_up_at = times.ended + row.promise.ends_s + slack_s(times.usual_s) + LATE_S
    while time.time() < give_up_at and _is_busy(ground, times, row):
        time.sleep(LOOK_S)


def _is_busy(ground: Ground, times: Times, row: Row) -> bool:
    query = (
        "SELECT EXISTS (SELECT FROM jobs WHERE ended_at IS NULL) OR EXISTS"
        " (SELECT FROM deliveries d JOIN hooks h USING (job_id)"
        " WHERE d.state = 'pending' AND h.url <> ALL(%s)) AS is_busy"
    )
    dead = [ground.hook_url(name) for name in row.promise.unsent]
    return bool(ground.rows(query, dead)[0]["is_busy"])


def _gather(ground: Ground, load: Load, times: Times, samples: list[Sample]) -> Evidence:
    since = times.began - 1
    rows = ground.rows(
        "SELECT id::text, source, state, fence, attempt, max_attempts, worker, target, error_code,"
        " error_message, extract(epoch FROM ended_at)::float AS ended_at FROM jobs"
        " WHERE created_at > to_timestamp(%s)",
        since,
    )
    events: dict[str, list[dict[str, Any]]] = {}
    for event in ground.rows(
        "SELECT e.job_id::text, e.seq, e.state, e.reason FROM events e"
        " JOIN jobs j ON j.id = e.job_id"
        " WHERE j.created_at > to_timestamp(%s) ORDER BY e.job_id, e.seq",
        since,
    ):
        events.setdefault(event["job_id"], []).append(event)
    results = ground.rows(
        "SELECT DISTINCT ON (a.job_id) a.job_id::text, a.body FROM artifacts a"
        " JOIN jobs j ON j.id = a.job_id AND a.fence = j.fence"
        " WHERE a.name = 'response.json' AND j.created_at > to_timestamp(%s)"
        " ORDER BY a.job_id, a.fence DESC",
        since,
    )
    gone = [name for name, process in ground.processes.items() if not process.is_running]
    return Evidence(
        times=times,
        records=list(load.records),
        accepted=list(load.accepted),
        rows={row["id"]: row for row in rows},
        events=events,
        results={row["job_id"]: bytes(row["body"]) for row in results},
        generations=[each for target in ground.targets.values() for each in target.generations()],
        delivered=ground.receivers.delivered(),
        samples=samples,
        seen_at_end=gone,
    )


def _result(
    row: Row, ground: Ground, seed: int, evidence: Evidence, violations: list[Violation]
) -> Result:
    asked = [each for each in evidence.records if each.kind in oracle.ANSWERED and not each.is_odd]
    refused = sum(each.status in (429, 503) for each in asked)
    done = sum(oracle.is_done(each) for each in asked)
    runs = Counter(each["job_id"] for each in evidence.generations if each["job_id"])
    times = evidence.times
    return Result(
        row=row.name,
        part=row.part,
        broker=ground.servers.broker_kind,
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
