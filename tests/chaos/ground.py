"""What a row runs on: a foreman of six processes, its servers, two targets, and links between all.

The servers serve all rows of a command; the foreman is replaced when it has not survived a row.
"""

import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from foreman.core.queues import JobClass, class_queue
from foreman.embedded.probe import free_port
from tests.chaos.proxy import Link, Network
from tests.chaos.receivers import Receivers
from tests.chaos.targets import TargetServer
from tests.rows import Rows
from tests.servers import PostgresServer, RabbitServer, ValkeyServer, started
from tests.stack import Process, wait_for

# A machine that is busy with other things needs a longer one.
LEASE_S = 4.0
WEBS, WORKERS, RELAYS = ("web1", "web2"), ("worker1", "worker2"), ("relay1", "relay2")
SLOTS = 4
TOKENS_PER_S = 25.0
READY_LIMIT_S = 120.0
READYZ_LIMIT_S = 3.0
# In leases, and short: `docs/operations.md` states the defaults.
LIMITS = {
    "FOREMAN_LEASE_S": 1,
    "FOREMAN_SYNC_WAIT": 6,
    "FOREMAN_JOB_TIMEOUT": 4,
    "FOREMAN_FIRST_BYTE": 1.25,
    "FOREMAN_TARGET_SILENCE": 1.5,
    "FOREMAN_CLIENT_TIMEOUT": 1.25,
    "FOREMAN_SHUTDOWN_S": 1,
    "FOREMAN_KEEPALIVE_AFTER": 1,
    "FOREMAN_KEEPALIVE_EVERY": 1,
}
SETTINGS = {
    "FOREMAN_STREAM_BUFFER": "256KiB",
    "FOREMAN_WEBHOOK_ALLOW": "127.0.0.1/32",
    "FOREMAN_WEBHOOK_CONCURRENCY": "16",
    "PYTHONUNBUFFERED": "1",
}
# Above those that the tests' other stacks take of the same server.
_numbers = itertools.count(ValkeyServer.DATABASES // 2)


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and one broker, real and private."""

    postgres: PostgresServer
    broker: ValkeyServer | RabbitServer

    @property
    def broker_kind(self) -> str:
        return "redis" if isinstance(self.broker, ValkeyServer) else "rabbitmq"

    @property
    def socket(self) -> str:
        """PostgreSQL's own."""
        return str(self.postgres.places.sockets / ".s.PGSQL.5432")


@contextmanager
def started_servers(broker: str) -> Iterator[Servers]:
    """Servers of one's own; `broker` is redis or rabbitmq."""
    with ExitStack() as running:
        # Few connections, so that a row can take all of them.
        postgres = PostgresServer(max_connections=150)
        running.callback(postgres.stop)
        made = started(ValkeyServer) if broker == "redis" else started(RabbitServer)
        running.callback(made.stop)
        yield Servers(postgres, made)


class Ground:
    """A running foreman; what may break has a name: processes, links, targets, receivers."""

    def __init__(
        self, servers: Servers, *, lease_s: float = LEASE_S, template_url: str | None = None
    ) -> None:
        """`template_url` is a migrated database that may be copied."""
        self.servers = servers
        self._template_url = template_url
        self.lease_s = lease_s
        self.links: dict[str, Link] = {}
        self.processes: dict[str, Process] = {}
        self.targets: dict[str, TargetServer] = {}
        self._ports = {name: free_port() for name in WEBS}
        self._stack = ExitStack()

    def __enter__(self) -> "Ground":
        try:
            self._start()
        except BaseException as error:
            error.add_note(self.log_text())
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def url(self, web: str) -> str:
        return f"http://127.0.0.1:{self._ports[web]}"

    def hook_url(self, receiver: str) -> str:
        """Where foreman sends the webhooks of a receiver."""
        is_linked = receiver == "good"
        port = self.links["receiver"].port if is_linked else self.receivers.port(receiver)
        return f"http://127.0.0.1:{port}/hooks"

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """What PostgreSQL says, past all links."""
        return self._rows.of(query, parameters)

    def model_queues(self) -> list[str]:
        """The Celery queues of all jobs so far."""
        kinds = self.rows("SELECT DISTINCT queue, job_class FROM jobs")
        return [class_queue(each["queue"], JobClass(each["job_class"])) for each in kinds]

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of a row's own, past all links; may write even where others may not."""
        options = "-c default_transaction_read_only=off"
        return psycopg.connect(
            f"postgresql://foreman@/{database}?host={Path(self.servers.socket).parent}&port=5432",
            autocommit=True,
            options=options,
        )

    def readyz(self, web: str) -> tuple[int, dict[str, Any]]:
        """Status and object of /readyz; 0 when there is no answer within READYZ_LIMIT_S."""
        try:
            with urllib.request.urlopen(f"{self.url(web)}/readyz", timeout=READYZ_LIMIT_S) as got:
                return got.status, json.load(got)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _object(error.read())
        except (OSError, ValueError):
            return 0, {}

    def is_whole(self) -> bool:
        """Whether both web processes are ready and a worker drives each target."""
        for web in WEBS:
            status, said = self.readyz(web)
            if status != 200 or len(said["live_targets"]) < len(self.targets):
                return False
        return all(each.is_running for each in self.processes.values())

    def links_of(self, *names: str) -> list[Link]:
        return [self.links[name] for name in names]

    def log_text(self) -> str:
        """The end of what each process wrote."""
        logs = (f"---- {each.name}\n{each.log_text()[-3000:]}" for each in self.processes.values())
        return "\n".join(logs)

    def keep_logs(self, folder: Path) -> None:
        """Copy what each process wrote to a new folder."""
        shutil.copytree(self._logs, folder, dirs_exist_ok=True)

    def start(self, name: str) -> None:
        """Start a process that has ended; a web process answers when this returns.

        How long Python takes to start on a busy machine is nothing that foreman promises.
        """
        self.processes[name].start()
        if name in WEBS:
            wait_for(lambda: self.readyz(name)[0], READY_LIMIT_S, f"{name} answers")

    def _start(self) -> None:
        self._logs = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        self._url = self.servers.postgres.create_database(self._template_url)
        self.database = self._url.partition("?")[0].rpartition("/")[2]
        self._rows = Rows(self._url)
        self._stack.callback(self._rows.close)
        self.broker_url = self._new_broker_url()
        for name in ("target1", "target2"):
            self.targets[name] = TargetServer(name, slots=SLOTS, tokens_per_s=TOKENS_PER_S)
            self._stack.callback(self.targets[name].stop)
            self.targets[name].start()
        network = Network()
        self._stack.callback(network.close)
        self.receivers = self._stack.enter_context(Receivers())
        self._link(network)
        self._run_processes()

    def _link(self, network: Network) -> None:
        for role in ("web", "worker", "relay"):
            self.links[f"{role}-postgres"] = network.link(self.servers.socket)
            self.links[f"{role}-broker"] = network.link(self.servers.broker.port)
        for name, target in self.targets.items():
            self.links[name] = network.link(target.port)
        self.links["receiver"] = network.link(self.receivers.port("good"))

    def _run_processes(self) -> None:
        self._stack.callback(self._end_processes)
        if self._template_url is None:
            self._migrate()
        for name in WEBS:
            module = ["-m", "gunicorn", "-c", "python:foreman.serving", "foreman.wsgi:app"]
            self._run(name, "web", *module)
        for name in WORKERS:
            options = ["-n", f"{name}@test", "-P", "threads", "-E"]
            options += ["--without-gossip", "--without-mingle"]
            self._run(name, "worker", "-m", "celery", "-A", "celery_app", "worker", *options)
        for name in RELAYS:
            self._run(name, "relay", "-m", "foreman", "relay")
        wait_for(self.is_whole, READY_LIMIT_S, "the foreman is ready")

    def _migrate(self) -> None:
        environ = self._environ("relay")
        migrate = Process(
            "migrate", [sys.executable, "-m", "foreman", "migrate"], environ, self._logs
        )
        assert migrate.process.wait(60) == 0, migrate.log_text()

    def _run(self, name: str, role: str, *arguments: str) -> None:
        environ = self._environ(role) | {"PORT": str(self._ports.get(name, 0) or free_port())}
        self.processes[name] = Process(name, [sys.executable, *arguments], environ, self._logs)

    def _end_processes(self) -> None:
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
            process.kill()

    def _environ(self, role: str) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if "FOREMAN" not in name}
        broker = self.broker_url.replace(
            f":{self.servers.broker.port}", f":{self.links[f'{role}-broker'].port}"
        )
        postgres = self.links[f"{role}-postgres"].port
        targets = [
            f"{name}=http://127.0.0.1:{self.links[name].port}?slots={SLOTS}"
            for name in self.targets
        ]
        return (
            given
            | SETTINGS
            | {name: f"{leases * self.lease_s:g}" for name, leases in LIMITS.items()}
            | {
                "DATABASE_URL": f"postgresql://foreman@127.0.0.1:{postgres}/{self.database}",
                "FOREMAN_BROKER_URL": broker,
                "FOREMAN_TARGETS": ",".join(targets),
            }
        )

    def _new_broker_url(self) -> str:
        broker = self.servers.broker
        if isinstance(broker, RabbitServer):
            return broker.new_url()
        return f"redis://127.0.0.1:{broker.port}/{next(_numbers)}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
