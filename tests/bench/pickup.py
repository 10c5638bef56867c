"""How soon an idle target takes a job that was accepted: `python -m tests.bench.pickup`.

Jobs are inserted and published as the API does it, one at a time, and the figures are PostgreSQL's:
`working_at - created_at`, from the statement that accepts a job to the one that claims it.
"""

import argparse
import random
import time
from functools import partial

import psycopg

from foreman.adapters import broker
from foreman.adapters.publisher import Publisher
from foreman.config import from_env
from foreman.core.queues import Wakeup, residency_of
from foreman.simulation.process import SimulationProcess
from foreman.store import jobs
from foreman.store.db import Database
from tests.bench.figures import percentile
from tests.bench.ground import RABBITMQ, REDIS, Ground
from tests.factories import new_job
from tests.stack import Stack, wait_for

AIM_MS = 30.0
MODEL = "sim-chat:latest"
BODY = b'{"model":"sim-chat","messages":[{"role":"user","content":"hi"}],"stream":false}'
# Idle is idle: each job meets a target that has had nothing to do for so long.
PAUSES_S = (0.05, 0.8)
WARM_UP = 5


def measure(stack: Stack, count: int) -> list[float]:
    """Milliseconds from accepted to working, of each job in turn."""
    settings = from_env(stack.env)
    database = Database(settings.database_url, pool_size=2)
    publisher = Publisher(
        broker.make_celery(settings),
        partial(broker.connect, settings, wait_limit_s=broker.PUBLISH_LIMIT_S),
        lambda job_id: print(f"not published: {job_id}"),
    )
    try:
        for number in range(WARM_UP + count):
            _one_job(stack, database, publisher, number)
        rows = stack.rows(
            "SELECT extract(epoch FROM working_at - created_at) * 1000 AS ms FROM jobs"
            " ORDER BY created_at OFFSET %s",
            WARM_UP,
        )
    finally:
        publisher.close()
        database.close()
    return [float(row["ms"]) for row in rows]


def _one_job(stack: Stack, database: Database, publisher: Publisher, number: int) -> None:
    time.sleep(random.uniform(*PAUSES_S))
    queue = residency_of(MODEL, {}).queue
    job = new_job(model=MODEL, queue=queue, body=BODY)
    with database.statement() as connection:
        jobs.insert_job(connection, job)
    publisher.send(Wakeup(job.id, queue, MODEL, None))
    with psycopg.connect(stack.database_url, autocommit=True) as watching:
        ended = "SELECT 1 FROM jobs WHERE id = %s AND ended_at IS NOT NULL"
        wait_for(lambda: watching.execute(ended, [job.id]).fetchone(), 20, f"job {number} ends")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pickup", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="a broker")
    count = parser.parse_args().jobs
    print("| broker | jobs | p50 | p95 | p99 | most |\n|---|---|---|---|---|---|")
    target = SimulationProcess(demo=True, load_s=0, tokens=5, tokens_per_s=0, slots=4)
    with Ground() as ground, target:
        for name in (REDIS, RABBITMQ):
            with ground.stack(name, target, slots=4) as stack:
                found = measure(stack, count)
            p50, p95, p99 = (percentile(found, each) for each in (50, 95, 99))
            is_met = "" if p95 <= AIM_MS else f" (aim: {AIM_MS:g})"
            print(
                f"| {name} | {len(found)} | {p50:.1f} ms | {p95:.1f} ms{is_met} | {p99:.1f} ms"
                f" | {max(found):.1f} ms |"
            )


if __name__ == "__main__":
    main()
