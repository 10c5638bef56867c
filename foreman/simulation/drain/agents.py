"""Clients that ask, read the answer, think, and ask again: a closed loop."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass

# No run and no pause is longer than this many times its mean.
LONGEST = 10.0


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who asks; the n-th client uses the n-th model, and begins again with the first."""

    queues: tuple[str, ...]
    clients: int = 2
    think_s: float = 0.5  # mean pause between an answer and the next job
    service_s: float = 2.0  # mean run of a job
    jobs: int | None = None  # of each client; None: until the end of the span
    span_s: float = float("inf")
    is_steady: bool = False  # pauses and runs are all as long as their mean
    seed: int = 1


class _Client:
    """One client; what chance decides for it does not depend on how it is served."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._queue = crowd.queues[number % len(crowd.queues)]
        self._random = random.Random(f"{crowd.seed}/{number}")
        self._sent = 0

    def next_job(self, after: float) -> Arrival | None:
        crowd = self._crowd
        if self._sent == crowd.jobs:
            return None
        self._sent += 1
        at = after + self._about(crowd.think_s)
        run_s = self._about(crowd.service_s)
        return Arrival(at, self._queue, JobClass.INTERACTIVE, run_s) if at < crowd.span_s else None

    def _about(self, mean_s: float) -> float:
        if self._crowd.is_steady or mean_s == 0:
            return mean_s
        return min(self._random.expovariate(1 / mean_s), LONGEST * mean_s)


class Agents:
    """The clients of a crowd, each at its next job."""

    def __init__(self, crowd: Crowd) -> None:
        self._clients = [_Client(crowd, number) for number in range(crowd.clients)]
        self._waiting: dict[int, _Client] = {}  # by the job that it waits for

    def first(self) -> Iterator[Arrival]:
        """The first job of each client."""
        sent = [(client, client.next_job(0.0)) for client in self._clients]
        jobs = [self._sent(client, job) for client, job in sent if job is not None]
        return iter(sorted(jobs, key=lambda job: job.at))

    def answered(self, job: Arrival, at: float) -> Arrival | None:
        """The next job of the client that waited for this one."""
        client = self._waiting.pop(id(job))
        following = client.next_job(at)
        return None if following is None else self._sent(client, following)

    def _sent(self, client: _Client, job: Arrival) -> Arrival:
        self._waiting[id(job)] = client
        return job
