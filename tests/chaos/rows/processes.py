"""Processes: killed, restarted one after the other, and stopped for some leases."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.ground import RELAYS, WEBS, WORKERS
from tests.chaos.row import Fault, Promise, Row, Scene, Sees
from tests.chaos.rows.faults import at_once

PART = "processes"
Pids = Callable[[Scene], set[int]]


def killed(*names: str) -> Fault:
    """kill -9; started again when the fault ends."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        for name in names:
            scene.ground.processes[name].kill()
        yield
        for name in names:
            scene.ground.start(name)

    return fault


def restarted(*names: str) -> Fault:
    """SIGTERM, and a new process when the old one has ended: a rolling restart."""

    def restart(scene: Scene) -> None:
        for name in names:
            scene.ground.processes[name].stop()
            scene.ground.start(name)

    return at_once(restart)


@contextmanager
def all_terminated(scene: Scene) -> Iterator[None]:
    """SIGTERM to all processes at once, as a platform does that moves them elsewhere."""
    processes = scene.ground.processes
    for process in processes.values():
        process.process.terminate()
    for name, process in processes.items():
        process.stop()
        scene.ground.start(name)
    yield


def killed_at_random(times: int) -> Fault:
    """kill -9 of one process after the other; each is started again at once."""

    def kill(scene: Scene) -> None:
        for _ in range(times):
            name = scene.random.choice(sorted(scene.ground.processes))
            scene.ground.processes[name].kill()
            scene.ground.start(name)
            time.sleep(scene.random.uniform(0.2, 1) * scene.ground.lease_s)

    return at_once(kill)


def stopped(pids: Pids) -> Fault:
    """SIGSTOP to these processes, SIGCONT when the fault ends."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        chosen = pids(scene)
        for pid in chosen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in chosen:
                os.kill(pid, signal.SIGCONT)

    return fault


def of_foreman(name: str) -> Pids:
    """A process of foreman's with its children."""
    return lambda scene: family(scene.ground.processes[name].process.pid)


def family(pid: int) -> set[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {pid}.union(*(family(int(child)) for child in children))


def _kill_broker(scene: Scene) -> None:
    scene.ground.servers.broker.kill()
    scene.ground.servers.broker.start()


def _restart_postgres(scene: Scene) -> None:
    server = scene.ground.servers.postgres
    os.kill(server.pid, signal.SIGQUIT)  # "immediate": no checkpoint, no farewell
    server.halt()
    server.start()


_RERUN = Promise(
    says="answers that have begun end with an error within two leases; the others are run again",
    recovers=2,
    ends=8,
    accepts=True,
)
_WEB_GONE = Promise(
    says="its clients see a cut connection; the other web process serves",
    cuts=("web1",),
    ends=6,
)
_FROZEN_BROKER = Promise(
    says="`POST /jobs` is answered with 202; streams may end with an error", accepts=True,
    recovers=3, ends=8,
)  # fmt: skip


def _row(
    name: str, does: str, fault: Fault, promise: Promise, *, holds: float, is_short: bool = False
) -> Row:
    return Row(
        name=name, part=PART, does=does, fault=fault, promise=promise, holds=holds,
        is_short=is_short,
    )  # fmt: skip


PROCESS_ROWS = [
    _row("web-killed", "kill -9 of one of two web processes, started again later",
         killed("web1"), _WEB_GONE, holds=1.5),
    _row("worker-killed", "kill -9 of one of two workers, started again later",
         killed("worker1"), _RERUN, holds=1.5, is_short=True),
    _row("workers-killed", "kill -9 of both workers, started again later",
         killed(*WORKERS), _RERUN, holds=1.5),
    _row("relay-killed", "kill -9 of one of two relays, started again later",
         killed("relay1"), Promise(says="nobody notices; an event may come twice",
                                   sees=Sees.NOTHING, accepts=True), holds=1.5),
    _row("relays-killed", "kill -9 of both relays, started again later", killed(*RELAYS),
         Promise(says="webhooks and batches wait; an event may come twice", sees=Sees.WAITS,
                 accepts=True, ends=12), holds=1.5),
    _row("all-killed", "kill -9 of all six processes, started again later",
         killed(*WEBS, *WORKERS, *RELAYS),
         Promise(says="clients see cut connections; no accepted job is lost", cuts=WEBS,
                 recovers=4, ends=12), holds=1.5),
    _row("webs-restarted", "SIGTERM to the web processes, one after the other", restarted(*WEBS),
         Promise(says="streams end by themselves or with an error; 503 or a refused connection"
                 " while a process is away", cuts=WEBS, recovers=3),
         holds=0),
    _row("workers-restarted", "SIGTERM to the workers, one after the other", restarted(*WORKERS),
         Promise(says="streams end by themselves or with an error after `FOREMAN_SHUTDOWN_S`;"
                 " everything else is served elsewhere", accepts=True, recovers=3),
         holds=0),
    _row("relays-restarted", "SIGTERM to the relays, one after the other", restarted(*RELAYS),
         Promise(says="nobody notices", sees=Sees.NOTHING, accepts=True), holds=0),
    _row("all-restarted", "SIGTERM to all six processes at once, and their new start",
         all_terminated,
         Promise(says="streams end by themselves or with an error; no accepted job is lost",
                 cuts=WEBS, recovers=4, ends=10), holds=0),
    _row("random-kills", "kill -9 of eight processes by chance, each started again",
         killed_at_random(8),
         Promise(says="clients of killed web processes see cut connections; no job is lost",
                 cuts=WEBS, recovers=4, ends=12), holds=0),
    _row("web-frozen", "SIGSTOP of one web process", stopped(of_foreman("web1")),
         Promise(says="its clients wait, then get an error; the other serves", cuts=("web1",),
                 recovers=3), holds=7),
    _row("worker-frozen", "SIGSTOP of one worker", stopped(of_foreman("worker1")),
         _RERUN, holds=7),
    _row("relay-frozen", "SIGSTOP of one relay", stopped(of_foreman("relay1")),
         Promise(says="events that it was sending wait for their lease of 30 s, then may come"
                 " twice", sees=Sees.NOTHING, accepts=True, ends=6, also_s=30), holds=7),
    _row("broker-killed", "kill -9 of the broker, and its restart (Valkey: empty)",
         at_once(_kill_broker), _FROZEN_BROKER, holds=0),
    _row("broker-frozen", "SIGSTOP of the broker",
         stopped(lambda scene: family(scene.ground.servers.broker.pid)), _FROZEN_BROKER,
         holds=2.5),
    _row("postgres-restarted", "PostgreSQL stops at once (`immediate`) and starts again",
         at_once(_restart_postgres),
         Promise(says="503 with `Retry-After`; what was accepted is kept, no client is cancelled"),
         holds=0),
    _row("postgres-stopped", "SIGSTOP of PostgreSQL and its backends",
         stopped(lambda scene: family(scene.ground.servers.postgres.pid)),
         Promise(says="503 with `Retry-After`; no client is cancelled", unready="database"),
         holds=2.25),
]  # fmt: skip
