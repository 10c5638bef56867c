"""One row: load, fault, recovery, drain, evidence; the oracle has the last word."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.chaos import oracle
from tests.chaos.gather import gather
from tests.chaos.ground import WEBS, Ground
from tests.chaos.load import Load
from tests.chaos.result import Result, result_of
from tests.chaos.row import Row, Scene
from tests.chaos.values import Kind, Sample, Times

BEFORE_S, AFTER_S = 3.0, 3.0
LOOK_S, PROBE_S = 0.25, 1.0
# Beyond the promise: whether what is late comes at all.
LATE_S = 30.0


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
            time.sleep(max(injected + row.holds * ground.lease_s - time.time(), 0))
        healed = time.time()
        times = Times(
            began=began,
            injected=injected,
            healed=healed,
            recovered=None,
            ended=healed,
            lease_s=ground.lease_s,
            usual_s=usual_s,
        )
        limit_s = row.promise.recovers_s(times) + LATE_S
        recovered = _wait_for_answers(scene, healed, limit_s)
        time.sleep(after_s)
        load.stop()
    times = replace(times, recovered=recovered, ended=time.time())
    _drain(ground, times, row)
    evidence = gather(ground, load, times, samples)
    return result_of(
        row, ground.servers.broker_kind, seed, evidence, oracle.judge(evidence, row.promise)
    )


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
    give_up_at = times.ended + row.promise.ends_s(times) + LATE_S
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
