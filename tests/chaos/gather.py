"""The evidence of a row: what its clients recorded, and what rows, logs and receivers say."""

import time
from typing import Any

from kombu import Connection

from foreman.adapters.broker import queue_length
from tests.chaos.ground import Ground
from tests.chaos.load import Load
from tests.chaos.values import Evidence, Sample, Times

LEFT_LIMIT_S, LEFT_LOOK_S = 10.0, 0.5


def gather(ground: Ground, load: Load, times: Times, samples: list[Sample]) -> Evidence:
    """Ask everything once; of the jobs only those that began with the row."""
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
        gone=gone,
        left=_left(ground),
    )


def _left(ground: Ground) -> dict[str, int]:
    """Messages in the model queues, when the workers have had time to take them."""
    give_up_at = time.monotonic() + LEFT_LIMIT_S
    with Connection(ground.broker_url) as connection:
        while True:
            left = {name: queue_length(connection, name) for name in ground.model_queues()}
            if not any(left.values()) or time.monotonic() > give_up_at:
                return left
            time.sleep(LEFT_LOOK_S)
