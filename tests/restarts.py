"""Rolling restarts of the web process under load, and a count of what became of each request."""

import http.client
import os
import signal
import threading
import urllib.error
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from foreman.simulation.process import SimulationProcess
from tests.client import chat
from tests.stack import Process, Stack, wait_for

CLIENTS = 6
RESTART_LIMIT_S = 60.0
REFUSED_PAUSE_S = 0.2
# Requests that are answered between two restarts.
BETWEEN = 10


@dataclass
class Count:
    """What the clients got, what the rows say, and what the target did."""

    statuses: Counter[int] = field(default_factory=Counter)  # 0: the connection was cut
    job_ids: list[str | None] = field(default_factory=list)  # of the answers with 200
    rows: int = 0
    generations: int = 0

    @property
    def unqueued(self) -> int:
        """Answers of a target that no job stands for."""
        return self.job_ids.count(None)

    def __str__(self) -> str:
        shown = ", ".join(f"{status or 'cut'}: {n}" for status, n in sorted(self.statuses.items()))
        return (
            f"answers {{{shown}}}, rows {self.rows}, generations {self.generations},"
            f" unqueued {self.unqueued}"
        )


class Load:
    """Clients that ask one after another until they are stopped."""

    def __init__(self, stack: Stack, count: Count) -> None:
        self._stack, self._count = stack, count
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ends.is_set():
            status, job_id = 0, None
            try:
                answer = self._stack.post("/api/chat", chat(stream=False), timeout_s=60)
                status, job_id = answer.status, answer.headers.get("X-Foreman-Job-Id")
            except (OSError, urllib.error.URLError, http.client.HTTPException):
                pass  # its web process ended
            if status != 200:
                self._ends.wait(REFUSED_PAUSE_S)  # as a client that is told to come back
            with self._lock:
                self._count.statuses[status] += 1
                if status == 200:
                    self._count.job_ids.append(job_id)


def restart_under_load(stack: Stack, ollama: SimulationProcess, *, times: int) -> Count:
    """Replace the web process so many times, as `kill -HUP` to gunicorn does, while clients ask."""
    count = Count()
    ollama.clear()
    # The lists take their time: what is asked for meanwhile must wait for them.
    ollama.fault("stall_before", path="/api/tags", seconds=0.5)
    load = Load(stack, count)
    try:
        for _ in range(times):
            _wait_for_answers(count, BETWEEN)
            _restart(stack.processes["web"])
        _wait_for_answers(count, BETWEEN)
    finally:
        load.stop()
    ids = [job_id for job_id in count.job_ids if job_id is not None]
    count.rows = len(stack.rows("SELECT id FROM jobs WHERE id = ANY(%s::uuid[])", ids))
    count.generations = len(ollama.log("generation"))
    return count


def _wait_for_answers(count: Count, more: int) -> None:
    enough = len(count.job_ids) + more
    wait_for(lambda: len(count.job_ids) >= enough, RESTART_LIMIT_S, f"{enough} answers")


def _restart(web: Process) -> None:
    old = _children(web.process.pid)
    os.kill(web.process.pid, signal.SIGHUP)
    wait_for(
        lambda: (now := _children(web.process.pid)) and now.isdisjoint(old),
        RESTART_LIMIT_S,
        "the old web process is gone",
    )


def _children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
