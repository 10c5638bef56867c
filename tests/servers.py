"""Real servers for tests: PostgreSQL, Valkey, RabbitMQ, each private, in a directory of its own.

Each start waits for its condition and is bounded; each stop leaves no process and no file. Start
them from the main thread, so that they end with the test run even when that is killed.
"""

import os
import shutil
import socket
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import run
from typing import TypeVar

from foreman.embedded.places import Places, open_places
from foreman.embedded.postgres import Postgres, private_postgres
from foreman.embedded.probe import free_port
from foreman.embedded.processes import Command, Process, log_end, stop
from foreman.embedded.valkey import Valkey, answers_ping, private_valkey
from foreman.embedded.waiting import StartFailed, wait_until

T = TypeVar("T")

START_TIMEOUT_S = 100.0  # below the time limit of a test, on a busy machine
START_TRIES = 3
# Nothing of a test's cluster outlives the test run.
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
SPACES_AT_ONCE = 8
# What `rabbitmqctl add_vhost` and `set_permissions` do.
_MAKE_SPACES = """
All = <<".*">>,
Make = fun(Name) ->
    ok = rabbit_vhost:add(Name, <<"tests">>),
    ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, Name, All, All, All, <<"tests">>)
end,
lists:foreach(Make, [%s]).
"""
RABBIT_DIRS = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/local/sbin"), Path("/opt/homebrew/sbin"))


class Server(ABC):
    """A server process below a temporary directory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: Places = open_places(Path(tempfile.mkdtemp(prefix=f"foreman-{name}-")))
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """The server's process; it must run."""
        assert self._process, f"{self.name} does not run"
        return self._process.pid

    @abstractmethod
    def command(self) -> Command: ...

    @abstractmethod
    def is_ready(self) -> bool: ...

    def start(self) -> None:
        """Start the server, again too, and return once it answers."""
        process = self._process = Process(self.command())
        wait_until(
            lambda: process.exit_code is not None or self.is_ready(), timeout_s=START_TIMEOUT_S
        )
        if process.exit_code is not None or not self.is_ready():
            reason = f"{self.name} did not start\n{log_end(process.command.log)}"
            self.stop()
            raise StartFailed(reason)

    def kill(self) -> None:
        """End the server as a power cut would; its files stay for the next start."""
        if self._process:
            self._process.kill_group()
        self._process = None

    def halt(self) -> None:
        """End the server as its operator would; its files stay for the next start."""
        if self._process:
            stop([self._process], grace_s=20)
        self._process = None

    def stop(self) -> None:
        """End the server and remove its files."""
        self.halt()
        shutil.rmtree(self.places.data, ignore_errors=True)


def started(make: Callable[[], T]) -> T:
    """A server that answers. A port that was free may be taken by the time it opens it: then
    another server is made, on other ports.
    """
    for _ in range(START_TRIES - 1):
        with suppress(StartFailed):
            return make()
    return make()


class PostgresServer(Server):
    """A cluster whose databases are cheap to make."""

    def __init__(self, *, max_connections: int = 200) -> None:
        super().__init__("postgres")
        self._postgres: Postgres = private_postgres(self.places, dict(os.environ))
        self._settings = UNSAFE_BUT_FAST | {"max_connections": str(max_connections)}
        self._postgres.initialise("--no-sync")
        self.start()

    def command(self) -> Command:
        return self._postgres.command(self._settings)

    def is_ready(self) -> bool:
        return self._postgres.is_ready()

    def create_database(self, template: str | None = None) -> str:
        """Make a database, as a copy of the one at the URL `template`; return its URL.

        Nobody may be connected to the template.
        """
        name = f"test_{uuid.uuid4().hex[:12]}"
        source = template.rpartition("?")[0].rpartition("/")[2] if template else None
        self._postgres.create_database(name, template=source)
        return self._postgres.url(name)


class ValkeyServer(Server):
    """A broker that speaks Redis, on a loopback port so that a proxy can stand in front of it."""

    # One for each test of a run: a worker of another stack would take what is not its own.
    DATABASES = 10_000

    def __init__(self) -> None:
        super().__init__("valkey")
        self._valkey: Valkey = private_valkey(self.places, dict(os.environ))
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        return self._valkey.socket

    def ask(self, command: str) -> str:
        """Send one command, and return the beginning of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(4096).decode()

    def command(self) -> Command:
        return self._valkey.command(
            {"port": str(self.port), "bind": "127.0.0.1", "databases": str(self.DATABASES)}
        )

    def is_ready(self) -> bool:
        with socket.socket() as connection:
            return answers_ping(connection, ("127.0.0.1", self.port))


class RabbitServer(Server):
    """Debian's rabbitmq-server, run privately: own node, ports, cookie and epmd, no plugins."""

    def __init__(self) -> None:
        reason = rabbitmq_missing()
        if reason:
            raise StartFailed(reason)
        super().__init__("rabbitmq")
        self.port = free_port()
        self._epmd_port = free_port()
        self._env = self._environment()
        self._spaces: list[str] = []
        self._epmd = Process(self._epmd_command())
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> Command:
        return self._command("rabbitmq", (str(_rabbit_program("rabbitmq-server")),))

    def is_ready(self) -> bool:
        """Whether it answers the AMQP greeting; it listens only at the end of its start."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl and return what it prints; an Erlang VM starts for it: about 1.5 s."""
        argv = [str(_rabbit_program("rabbitmqctl")), "--quiet", *arguments]
        done = run(argv, env=self._env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise StartFailed(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def new_url(self) -> str:
        """The URL of a virtual host that nobody has used.

        Several are made at once: starting rabbitmqctl takes far longer than what it does.
        """
        if not self._spaces:
            names = [f"v{uuid.uuid4().hex[:12]}" for _ in range(SPACES_AT_ONCE)]
            self.ctl("eval", _MAKE_SPACES % ",".join(f'<<"{name}">>' for name in names))
            self._spaces = names
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self._spaces.pop()}"

    def stop(self) -> None:
        self.halt()
        stop([self._epmd], grace_s=5)
        super().stop()

    def _epmd_command(self) -> Command:
        epmd = shutil.which("epmd") or "epmd"
        return self._command("epmd", (epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"))

    def _command(self, name: str, argv: tuple[str, ...]) -> Command:
        return Command(name=name, argv=argv, env=self._env, log=self.places.log(name))

    def _environment(self) -> dict[str, str]:
        home = self.places.data
        plugins, conf = home / "enabled_plugins", home / "rabbitmq.conf"
        plugins.write_text("[].\n")
        conf.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndisk_free_limit.absolute = 1MB\n"
        )
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
            # An address as host name: a bare container's /etc/hosts may lack even localhost.
            "RABBITMQ_NODENAME": f"test-{uuid.uuid4().hex[:8]}@127.0.0.1",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(conf),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell between us and the Erlang VM
        }


def rabbitmq_missing() -> str | None:
    """Return why RabbitServer cannot be started here, or None when it can."""
    if not _rabbit_program("rabbitmq-server"):
        return "rabbitmq-server is not installed (bin/test installs it as root on Debian)"
    return None if shutil.which("epmd") else "Erlang's epmd is not on PATH"


def _rabbit_program(name: str) -> Path | None:
    """Return the program itself: Debian's /usr/sbin scripts would change to the user rabbitmq."""
    found = next((folder / name for folder in RABBIT_DIRS if (folder / name).exists()), None)
    on_path = shutil.which(name)
    return found or (Path(on_path) if on_path else None)
