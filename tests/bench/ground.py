"""What the benchmarks run on: real servers once, and for each scene a target and four ways to it.

A scene is one simulated Ollama and the ways to ask it: straight, through a plain proxy, through a
foreman on Redis and through one on RabbitMQ. All stay up while one of them is measured.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg
import redis

from foreman.embedded.probe import free_port, get
from foreman.simulation.process import SimulationProcess
from tests.bench import proxy
from tests.servers import PostgresServer, RabbitServer, ValkeyServer
from tests.stack import Process, Stack, wait_for

DIRECT, PROXY, REDIS, RABBITMQ = "direct", "proxy", "foreman on Redis", "foreman on RabbitMQ"
ALL_WAYS = (DIRECT, PROXY, REDIS, RABBITMQ)
MODEL = "sim-chat"
# What production has; the tests' stack shortens it.
SETTINGS = {"FOREMAN_LEASE_S": "15"}


@dataclass(frozen=True)
class Way:
    """One way to the target: where to ask, and the processes that work for it, by what they are."""

    name: str
    url: str
    pids: dict[str, int]


@dataclass(frozen=True)
class Scene:
    """A simulated Ollama, the ways to it, and the lines of each of its answers."""

    ways: dict[str, Way]
    lines: int


class DurablePostgres(PostgresServer):
    """As an operator runs it: what is committed is on the disk."""

    def __init__(self) -> None:
        super().__init__(max_connections=300)

    def start(self) -> None:
        for unsafe in ("fsync", "synchronous_commit", "full_page_writes"):
            self._settings.pop(unsafe, None)
        super().start()


class Ground:
    """The servers that all scenes share; `stack` is how a foreman is started."""

    def __init__(self, stack: type[Stack] = Stack) -> None:
        self._stack_type = stack

    def __enter__(self) -> "Ground":
        with ExitStack() as started:
            self.postgres = DurablePostgres()
            started.callback(self.postgres.stop)
            self.valkey = ValkeyServer()
            started.callback(self.valkey.stop)
            self.rabbitmq = RabbitServer()
            started.callback(self.rabbitmq.stop)
            self._numbers = itertools.count(1)
            self._started = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._started.close()

    def versions(self) -> dict[str, str]:
        """Of the servers."""
        with psycopg.connect(self.postgres.create_database()) as connection:
            postgres = str(connection.info.parameter_status("server_version"))
        with redis.Redis.from_url(self.valkey.url) as client:
            info = client.info("server")
        valkey = str(info.get("valkey_version") or info["redis_version"])
        rabbitmq = self.rabbitmq.ctl("version").strip()
        return {"servers": f"PostgreSQL {postgres}, Valkey {valkey}, RabbitMQ {rabbitmq}"}

    @contextmanager
    def scene(
        self, names: tuple[str, ...] = ALL_WAYS, *, slots: int, tokens: int, tokens_per_s: float
    ) -> Iterator[Scene]:
        """A target with `slots` places whose answers have `tokens` lines, and the ways to it."""
        options = {"slots": slots, "tokens": tokens, "tokens_per_s": tokens_per_s}
        with ExitStack() as running:
            target = running.enter_context(SimulationProcess(demo=True, load_s=0, **options))
            ways = {DIRECT: Way(DIRECT, target.url, {})}
            if PROXY in names:
                ways[PROXY] = running.enter_context(_proxy(target))
            for name in (REDIS, RABBITMQ):
                if name in names:
                    stack = running.enter_context(self.stack(name, target, slots=slots))
                    ways[name] = self.way(name, stack)
            for way in ways.values():
                way.pids["target"] = target.pid
            yield Scene({name: ways[name] for name in names}, tokens)

    def stack(
        self,
        name: str,
        target: SimulationProcess,
        *,
        slots: int,
        settings: Mapping[str, str] | None = None,
    ) -> Stack:
        """A foreman on the broker of the way `name`, with a new database; not started."""
        return self._stack_type(
            database_url=self.postgres.create_database(),
            broker_url=self.broker_url(name),
            targets=f"gpu={target.url}?slots={slots}",
            settings=SETTINGS | dict(settings or {}),
            is_migrated=False,
        )

    def way(self, name: str, stack: Stack) -> Way:
        """The way through a running foreman."""
        pids = {each: process.process.pid for each, process in stack.processes.items()}
        broker = self.valkey if name == REDIS else self.rabbitmq
        return Way(name, stack.url, pids | {"broker": broker.pid, "PostgreSQL": self.postgres.pid})

    def broker_url(self, name: str) -> str:
        """An empty space of the broker of the way `name`."""
        if name == REDIS:
            return f"redis://127.0.0.1:{self.valkey.port}/{next(self._numbers) % 16}"
        return self.rabbitmq.new_url()


@contextmanager
def _proxy(target: SimulationProcess) -> Iterator[Way]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = os.environ | {"TARGET_URL": target.url}
    with tempfile.TemporaryDirectory(prefix="foreman-proxy-") as logs:
        process = Process("proxy", proxy.command(port), environ, Path(logs))
        try:
            wait_for(lambda: get(url) or not process.is_running, 20, "the proxy answers")
            assert process.is_running, process.log_text()
            yield Way(PROXY, url, {"proxy": process.process.pid})
        finally:
            process.stop()
