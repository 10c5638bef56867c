"""Room for several models, and clients that ask in turn: `python -m tests.bench.residents`.

fit: three clients, each with a model of its own, all of which fit; so many requests one after the
other. agents: two clients with a model each on a target with room for one, for so many seconds.
Each way has a target and a foreman of its own, new ones; straight to the target is Ollama's order.
"""

import argparse
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from foreman.simulation.process import SimulationProcess
from tests.bench.ground import DIRECT, RABBITMQ, REDIS, Ground

WAYS = (DIRECT, REDIS, RABBITMQ)
THINK_S = 0.2
LOOK_EVERY_S = 0.5
TOKENS, TOKENS_PER_S = 10, 20.0  # an answer of half a second
LOAD_S = 3.0


@dataclass(frozen=True)
class Figures:
    """What one way did."""

    jobs: int
    loads: int
    seconds: float
    slowest_s: float
    late: int  # looks at what waited beyond its promise; of foreman alone


def _ask(url: str, model: str) -> float:
    wish = {
        "model": model,
        "stream": False,
        "messages": [{"role": "user", "content": "hi"}],
        "options": {"num_predict": TOKENS},
    }
    began_at = time.monotonic()
    request = urllib.request.Request(f"{url}/api/chat", json.dumps(wish).encode())
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert json.load(answer)["done"]
    return time.monotonic() - began_at


def _clients(url: str, models: str, goes_on: Callable[[int], bool]) -> list[float]:
    """A client for each model, which asks for as long as `goes_on` (asked so often) says so."""
    waits: list[float] = []

    def client(model: str) -> None:
        asked = 0
        while goes_on(asked):
            waits.append(_ask(url, model))
            asked += 1
            time.sleep(THINK_S)

    threads = [threading.Thread(target=client, args=[model]) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


class Promises(threading.Thread):
    """Reads the promises of `/queues`, and counts looks at what waits beyond its smallest one."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._by: dict[str, float] = {}
        self._is_over = threading.Event()
        self.late = 0

    def run(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_S):
            with urllib.request.urlopen(f"{self._url}/queues", timeout=20) as answer:
                self._look(json.load(answer), time.monotonic())

    def end(self) -> int:
        self._is_over.set()
        self.join()
        return self.late

    def _look(self, seen: dict[str, Any], now: float) -> None:
        bounds = {each["queue"]: each["bound_s"].values() for each in seen["data"]}
        waiting = {queue: now + min(seconds) for queue, seconds in bounds.items() if seconds}
        self.late += sum(now > by + LOOK_EVERY_S for by in self._by.values())
        self._by = {queue: min(by, self._by.get(queue, by)) for queue, by in waiting.items()}


@contextmanager
def _url(ground: Ground, way: str, target: SimulationProcess) -> Iterator[str]:
    if way == DIRECT:
        yield target.url
        return
    with ground.stack(way, target, slots=2) as stack:
        yield stack.url


def _run(ground: Ground, way: str, case: str, args: argparse.Namespace) -> Figures:
    models = "abc" if case == "fit" else "ab"
    with (
        SimulationProcess(
            models=",".join(f"{model}=4GiB" for model in models),
            memory="24GiB" if case == "fit" else "6GiB",
            load_s=LOAD_S,
            slots=2,
            tokens_per_s=TOKENS_PER_S,
        ) as target,
        _url(ground, way, target) as url,
    ):
        promises = Promises(url) if way != DIRECT else None
        if promises:
            promises.start()
        began_at = time.monotonic()
        if case == "fit":
            waits = _clients(url, models, lambda asked: asked < args.requests)
        else:
            end_at = began_at + args.seconds
            waits = _clients(url, models, lambda asked: time.monotonic() < end_at)
        seconds = time.monotonic() - began_at
        late = promises.end() if promises else 0
        return Figures(len(waits), len(target.log("load")), seconds, max(waits), late)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.residents", description=__doc__)
    parser.add_argument("--requests", type=int, default=15, help="of each client, in `fit`")
    parser.add_argument("--seconds", type=float, default=120, help="of `agents`")
    args = parser.parse_args()
    with Ground() as ground:
        for case in ("fit", "agents"):
            print(f"\n{case}\n| way | jobs | loads | seconds | slowest answer, s | late |")
            print("|---|---|---|---|---|---|")
            for way in WAYS:
                got = _run(ground, way, case, args)
                late = "" if way == DIRECT else str(got.late)
                print(
                    f"| {way} | {got.jobs} | {got.loads} | {got.seconds:.1f} |"
                    f" {got.slowest_s:.1f} | {late} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
