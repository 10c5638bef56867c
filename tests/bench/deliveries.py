"""Webhooks: `python -m tests.bench.deliveries [--quick]`.

Deliveries a second to one fast receiver, and what five dead receivers among twenty cost the other
fifteen. The pump runs as the relay process does, the receivers in a process of their own.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from foreman.embedded.probe import free_port
from foreman.parsing import database_url as as_settings_read_it
from foreman.store import hooks, jobs
from foreman.store.db import Database
from foreman.store.hooks import NewHook
from tests.bench import report
from tests.bench.figures import Aim, Section, median, percentile
from tests.bench.ground import DurablePostgres
from tests.factories import new_job
from tests.servers import ValkeyServer
from tests.stack import ROOT, Process, wait_for

RECEIVERS, DEAD = 20, 5
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RATE_AIM, RATIO_AIM = 200, 1.2
# Paced, so that the figure is the wait for a place and not the length of the line.
WAVES, WAVE_S = 20, 0.5
LIMIT_S = 120.0


class Scene:
    """A database, a relay, and a process with receivers."""

    def __init__(self, postgres: DurablePostgres, valkey: ValkeyServer, concurrency: int) -> None:
        self._url = postgres.create_database()
        self._started = ExitStack()
        logs = Path(self._started.enter_context(tempfile.TemporaryDirectory()))
        self._env = {name: value for name, value in os.environ.items() if "FOREMAN" not in name} | {
            "DATABASE_URL": self._url,
            "FOREMAN_BROKER_URL": valkey.url,
            "FOREMAN_WEBHOOK_ALLOW": "127.0.0.0/8",
            "FOREMAN_WEBHOOK_CONCURRENCY": str(concurrency),
            "FOREMAN_LOG_LEVEL": "WARNING",
        }
        migrate = [sys.executable, "-m", "foreman", "migrate"]
        subprocess.run(migrate, cwd=ROOT, env=self._env, check=True, timeout=60)
        self._database = Database(as_settings_read_it(self._url), pool_size=2)
        self._started.callback(self._database.close)
        self.ports = [free_port() for _ in range(RECEIVERS)]
        answering = [sys.executable, "-m", "tests.bench.receivers", *map(str, self.ports)]
        self.start("receivers", answering, logs)
        wait_for(lambda: _listens(self.ports[-1]), 20, "the receivers listen")
        self.start("relay", [sys.executable, "-m", "foreman", "relay"], logs)
        self.warm_up()

    def warm_up(self) -> None:
        """Let the relay come up and meet the receivers that live; leave no trace."""
        self.owe([f"http://127.0.0.1:{port}/ok" for port in self.ports])
        pending = "SELECT count(*) FROM deliveries WHERE state = 'pending'"
        self._wait_for_none(pending)
        with self._database.statement() as connection:
            connection.exec_driver_sql("DELETE FROM jobs")

    def start(self, name: str, command: list[str], logs: Path) -> None:
        process = Process(name, command, self._env, logs)
        self._started.callback(process.kill)

    def close(self) -> None:
        self._started.close()

    def owe(self, urls: list[str]) -> None:
        """Accept a job for each; every one owes a delivery."""
        accepted = [new_job() for _ in urls]
        with self._database.transaction() as connection:
            for job in accepted:
                jobs.insert_job(connection, job)
            told = zip(accepted, urls, strict=True)
            hooks.add_hooks(
                connection,
                [NewHook(job_id=job.id, url=url, secrets=(SECRET,)) for job, url in told],
            )

    def rows(self, query: str) -> list[tuple[float, ...]]:
        with self._database.statement() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def wait_for_all(self, receivers: str) -> None:
        query = (
            "SELECT count(*) FROM deliveries WHERE state = 'pending' AND receiver = ANY"
            f" ('{{{receivers}}}')"
        )
        self._wait_for_none(query)

    def _wait_for_none(self, query: str) -> None:
        give_up_at = time.monotonic() + LIMIT_S
        while self.rows(query) != [(0,)]:
            assert time.monotonic() < give_up_at, "not all deliveries are made"
            time.sleep(0.1)  # each look costs the database that is measured


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def scene(
    postgres: DurablePostgres, valkey: ValkeyServer, *, concurrency: int = 4
) -> Iterator[Scene]:
    made = Scene(postgres, valkey, concurrency)
    try:
        yield made
    finally:
        made.close()


def rate(made: Scene, receivers: int, count: int) -> float:
    """Deliveries a second: from the first record to the last."""
    urls = [f"http://127.0.0.1:{port}/ok" for port in made.ports[:receivers]]
    for _ in range(count // 500):
        made.owe([urls[number % receivers] for number in range(500)])
    made.wait_for_all(",".join(url.removesuffix("/ok") for url in urls))
    ((span_s, sent),) = made.rows(
        "SELECT extract(epoch FROM max(ended_at) - min(ended_at))::float8, count(*)"
        " FROM deliveries WHERE state = 'succeeded'"
    )
    return sent / span_s


def delays_ms(made: Scene, *, dead: int, waves: int) -> list[float]:
    """From event to recorded delivery, of the fifteen that live; beside them so many are dead."""
    alive = [f"http://127.0.0.1:{port}/ok" for port in made.ports[DEAD:]]
    silent = [f"http://127.0.0.1:{port}/silent" for port in made.ports[:dead]]
    for _ in range(waves):
        began_at = time.monotonic()
        made.owe(silent * 4)
        made.owe(alive * 2)  # an event counts from the begin of its transaction
        time.sleep(max(WAVE_S - (time.monotonic() - began_at), 0))
    made.wait_for_all(",".join(url.removesuffix("/ok") for url in alive))
    return [
        row[0]
        for row in made.rows(
            "SELECT extract(epoch FROM ended_at - created_at)::float8 * 1000 FROM deliveries"
            " WHERE state = 'succeeded' AND url ~ '/ok$'"
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.deliveries", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small loads: does it run?")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    count, waves = (1000, 4) if args.quick else (4000, WAVES)
    repeat = 1 if args.quick else args.repeat
    with ExitStack() as started:
        postgres, valkey = DurablePostgres(), ValkeyServer()
        started.callback(postgres.stop)
        started.callback(valkey.stop)
        one, many, without, among = [], [], [], []
        for _ in range(repeat):
            with scene(postgres, valkey) as made:
                one.append(rate(made, 1, count))
            with scene(postgres, valkey) as made:
                many.append(rate(made, RECEIVERS, count))
            with scene(postgres, valkey) as made:
                without.append(percentile(delays_ms(made, dead=0, waves=waves), 95))
            with scene(postgres, valkey) as made:
                among.append(percentile(delays_ms(made, dead=DEAD, waves=waves), 95))
    print(_report(one, many, without, among, repeat))


def _report(
    one: list[float], many: list[float], without: list[float], among: list[float], repeat: int
) -> str:
    ratio = median([dead / none for dead, none in zip(among, without, strict=True)])
    section = Section(
        "Webhooks",
        f"{RECEIVERS} receivers; 4 at once to each. Medians of the rounds.",
        ("what", "figure"),
        [
            ("deliveries/s, one receiver", f"{median(one):,.0f}"),
            (f"deliveries/s, {RECEIVERS} receivers", f"{median(many):,.0f}"),
            (f"ms from event to record, p95, {RECEIVERS - DEAD} alive", f"{median(without):,.0f}"),
            (f"the same of them with {DEAD} dead ones beside", f"{median(among):,.0f}"),
        ],
        [
            Aim(f"≥ {RATE_AIM} deliveries/s", f"{median(one):,.0f}", median(one) >= RATE_AIM),
            Aim(f"p95 ≤ {RATIO_AIM} x with the dead", f"{ratio:.2f} x", ratio <= RATIO_AIM),
        ],
    )
    return report.markdown([section], report.machine() | {"rounds": str(repeat)})


if __name__ == "__main__":
    main()
