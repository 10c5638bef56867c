"""How many jobs one web process accepts: `python -m tests.bench.accepts [--seconds N] [--lines N]`.

PostgreSQL commits to the disk; no worker runs, so what is measured is the accepting alone. Client
and server share the machine.
"""

import argparse
import http.client
import json
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from foreman.simulation.process import SimulationProcess
from tests.bench.ground import DurablePostgres
from tests.client import chat
from tests.servers import ValkeyServer
from tests.stack import WebAlone

R = TypeVar("R")

CONNECTIONS = 16
BODY = json.dumps({"endpoint": "/api/chat", "request": chat(), "metadata": {"team": "a"}}).encode()


def post_for(url: str, seconds: float) -> list[float]:
    """POST one job after another on each of so many connections; the seconds of each answer."""
    took: list[float] = []
    stop_at = time.monotonic() + seconds

    def one_connection() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        while time.monotonic() < stop_at:
            began = time.perf_counter()
            connection.request("POST", "/jobs", BODY)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
            took.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=one_connection) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def post_batch(url: str, lines: int) -> float:
    """POST one batch of so many lines; the seconds until its last answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    began = time.perf_counter()
    connection.request("POST", "/jobs/batch", (BODY + b"\n") * lines)
    answered = connection.getresponse().read().count(b'"status":202')
    took_s = time.perf_counter() - began
    assert answered == lines, answered
    connection.close()
    return took_s


def in_a_process(work: Callable[..., R], *given: object) -> R:
    """The client gets an interpreter of its own, as it has in life."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accepts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--lines", type=int, default=10_000)
    args = parser.parse_args()
    postgres, valkey = DurablePostgres(), ValkeyServer()
    try:
        with SimulationProcess(demo=True) as target:
            stack = WebAlone(
                database_url=postgres.create_database(),
                broker_url=valkey.url,
                targets=f"gpu={target.url}",
                workers=0,
                is_migrated=False,
            )
            with stack:
                post_batch(stack.url, 100)
                took = in_a_process(post_for, stack.url, args.seconds)
                batch_s = in_a_process(post_batch, stack.url, args.lines)
    finally:
        valkey.stop()
        postgres.stop()
    p99 = statistics.quantiles(took, n=100)[98]
    print(
        f"POST /jobs        {len(took) / args.seconds:6.0f} jobs/s on {CONNECTIONS} connections,"
        f" median {statistics.median(took) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
    )
    print(
        f"POST /jobs/batch  {args.lines / batch_s:6.0f} lines/s,"
        f" {args.lines} lines in {batch_s:.2f} s"
    )


if __name__ == "__main__":
    main()
