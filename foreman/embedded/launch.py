"""One start of everything, in order: servers, target, schema, processes, ready.

Servers and targets that the environment names are used as they are; what it does not name is
started here and stops with us.
"""

import json
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from foreman import config, parsing
from foreman.embedded import leftovers, ollama, probe, procfile, receivers, report
from foreman.embedded.places import Places, secret_key, write_private
from foreman.embedded.postgres import Postgres, private_postgres
from foreman.embedded.processes import Command, log_end, run_once
from foreman.embedded.supervisor import Supervisor
from foreman.embedded.valkey import Valkey, private_valkey
from foreman.embedded.waiting import StartFailed, StopRequest, wait_until
from foreman.errors import SettingsError
from foreman.procfile import read
from foreman.tree import PROCFILE

BROKER_VARIABLES = ("FOREMAN_BROKER_URL", "CLOUDAMQP_URL", "REDIS_URL")
SERVERS_TIMEOUT_S = 60.0
TARGET_TIMEOUT_S = 20.0
MIGRATE_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 60.0
FLOWER_PORT = 5555
SIMULATED = "simulated"  # the name of the target that is started here
SECRET_KEY = "FOREMAN_SECRET_KEY"
INSTANCE = "FOREMAN_INSTANCE"  # in an `env` file: the data directory whose servers it names


def say(text: str) -> None:
    with suppress(OSError):  # nobody reads any more: no reason to leave processes behind
        print(text, flush=True)


class Launch:
    """The processes of one start and the environment they all share."""

    def __init__(
        self, environ: Mapping[str, str], places: Places, request: StopRequest, *, is_demo: bool
    ) -> None:
        self._places, self._request, self._is_demo = places, request, is_demo
        self._supervisor = Supervisor(say)
        self._env = environment(environ, places)
        servers_env = dict(self._env)  # they need no key of ours
        self._postgres = self._valkey = None
        if not environ.get("DATABASE_URL"):
            self._postgres = private_postgres(places, servers_env)
            self._env["DATABASE_URL"] = self._postgres.url()
            # Not for a database that other machines may share: they would not have this key.
            if not environ.get(SECRET_KEY):
                self._env[SECRET_KEY] = secret_key(places)
        if not any(environ.get(name) for name in BROKER_VARIABLES):
            self._valkey = private_valkey(places, servers_env)
            self._env["FOREMAN_BROKER_URL"] = self._valkey.url()
        # A wrong value is reported before anything starts.
        self._settings = config.from_env(self._env)
        config.require_address(self._settings.host)
        self._flower_port = flower_port(self._env)
        if is_demo and environ.get("FOREMAN_TARGETS"):
            raise SettingsError("--demo brings a target of its own: unset FOREMAN_TARGETS")
        for name, meant in config.unknown_variables(environ).items():
            say(f"{name} is no setting of foreman" + (f": did you mean {meant}?" if meant else ""))

    def start(self) -> None:
        """Start everything and say so once a request would be served."""
        self._require_port()
        if servers := [server for server in (self._postgres, self._valkey) if server]:
            self._start_servers(servers)
        self._find_target()
        self._open_receivers()
        self._migrate()
        flower = self._start_processes()
        self._wait_ready()
        # It asks the workers for their queues once, at its start.
        self._supervisor.start_stage(flower)
        flower_url = f"http://127.0.0.1:{self._flower_port}" if flower else None
        self._write_env()
        say(
            report.ready(
                self._settings, self._places, is_simulated=self._is_demo, flower_url=flower_url
            )
        )

    def keep(self) -> None:
        """Keep everything running until the user says stop."""
        wait_until(lambda: False, timeout_s=float("inf"), check=self._look)

    def stop(self) -> None:
        self._supervisor.stop(self._request.is_urgent)

    def _look(self) -> None:
        self._request.check()
        self._supervisor.tick()

    def _look_strictly(self) -> None:
        """During the start, a process that does not stay up ends it."""
        self._look()
        self._supervisor.raise_for_failing()

    def _require_port(self) -> None:
        reason = probe.why_taken(self._settings.host, self._settings.port)
        if reason:
            raise StartFailed(
                f"port {self._settings.port} cannot be used: {reason}. Stop what uses it, or "
                "choose another with PORT=…"
            )

    def _start_servers(self, servers: list[Postgres | Valkey]) -> None:
        say("starting " + " and ".join(server.title for server in servers))
        if self._postgres:
            self._postgres.initialise(check=self._request.check)
            self._postgres.forget_old_pid()
        self._supervisor.start_stage(server.command() for server in servers)
        is_ready = wait_until(
            lambda: all(server.is_ready() for server in servers),
            timeout_s=SERVERS_TIMEOUT_S,
            check=self._look_strictly,
        )
        if not is_ready:
            ends = [log_end(server.command().log) for server in servers]
            raise StartFailed("\n".join(["the servers do not answer", *ends]))
        if self._postgres:
            self._postgres.create_database()

    def _find_target(self) -> None:
        """Settle FOREMAN_TARGETS: as it is, the simulated Ollama, or the usual place of one."""
        if self._env.get("FOREMAN_TARGETS"):
            return
        if self._is_demo:
            name, url = SIMULATED, f"http://127.0.0.1:{probe.free_port()}"
            self._start_simulation(url)
        else:
            name, url = "ollama", ollama.find(self._env)
        self._env["FOREMAN_TARGETS"] = f"{name}={url}"
        self._settings = config.from_env(self._env)

    def _open_receivers(self) -> None:
        """Settle FOREMAN_WEBHOOK_ALLOW, once all targets are known."""
        self._env["FOREMAN_WEBHOOK_ALLOW"] = receivers.webhook_allow(
            self._env, self._settings, self._flower_port
        )
        self._settings = config.from_env(self._env)

    def _start_simulation(self, url: str) -> None:
        say("starting a simulated Ollama")
        port = url.rpartition(":")[2]
        argv = ("python", "-m", "foreman.simulation", "--port", port)
        simulation = self._command("simulation", argv)
        self._supervisor.start_stage([simulation])
        is_up = wait_until(
            lambda: ollama.is_ollama(url), timeout_s=TARGET_TIMEOUT_S, check=self._look_strictly
        )
        if not is_up:
            raise StartFailed(f"the simulated Ollama does not answer\n{log_end(simulation.log)}")

    def _migrate(self) -> None:
        say("bringing the database's tables up to date")
        release = read(PROCFILE)["release"]
        run_once(
            self._command("release", release),
            timeout_s=MIGRATE_TIMEOUT_S,
            check=self._look_strictly,
        )

    def _start_processes(self) -> list[Command]:
        """Start the Procfile's processes; return Flower's, for later, unless its port is taken."""
        port = self._flower_port
        taken = probe.why_taken("127.0.0.1", port)
        if taken:
            say(f"Flower is left out, since its port {port} cannot be used: {taken} (FLOWER_PORT)")
        programs = procfile.programs(
            read(PROCFILE),
            workers=len(self._settings.targets),
            has_flower=not taken,
        )
        say("starting " + ", ".join(programs))
        commands = [
            self._command(name, argv, is_needed=name != "flower") for name, argv in programs.items()
        ]
        self._supervisor.start_stage(each for each in commands if each.is_needed)
        return [each for each in commands if not each.is_needed]

    def _wait_ready(self) -> None:
        """Wait until jobs are accepted; where no target answers, they wait for one."""
        has_target = any(
            ollama.is_ollama(each.url, each.authorization) for each in self._settings.targets
        )
        url = f"{report.local_url(self._settings)}/readyz"
        last: list[probe.Answer | None] = [None]

        def is_ready() -> bool:
            last[0] = answer = probe.get(url)
            if answer is None:
                return False
            return answer.status == 200 or (not has_target and has_servers(answer))

        if wait_until(is_ready, timeout_s=READY_TIMEOUT_S, check=self._look_strictly):
            return
        answer = f"{last[0].status} {last[0].body[:500]!r}" if last[0] else "nothing"
        ends = [log_end(self._places.log(name)) for name in ("web", "worker1", "relay")]
        first = f"not ready after {READY_TIMEOUT_S:g} s: /readyz answers {answer}"
        raise StartFailed("\n".join([first, *ends]))

    def _write_env(self) -> None:
        """What `celery -A celery_app …` needs to know in another terminal."""
        names = ("DATABASE_URL", "FOREMAN_BROKER_URL", "FOREMAN_TARGETS", "PORT")
        lines = [
            f"export {name}={shlex.quote(self._env[name])}\n" for name in names if name in self._env
        ]
        lines.append(f"export {INSTANCE}={shlex.quote(str(self._places.data))}\n")
        lines.append(f"export FOREMAN_URL={shlex.quote(report.local_url(self._settings))}\n")
        write_private(self._places.env_file, "".join(lines))

    def _command(self, name: str, argv: tuple[str, ...], *, is_needed: bool = True) -> Command:
        log = self._places.log(name)
        return Command(name=name, argv=argv, env=self._env, log=log, is_needed=is_needed)


def has_servers(readyz: probe.Answer) -> bool:
    """Whether database and broker work, whatever else is wrong."""
    try:
        checks = json.loads(readyz.body)
        return bool(checks["database"] == checks["broker"] == "ok")
    except (ValueError, KeyError, TypeError):
        return False


def flower_port(environ: Mapping[str, str]) -> int:
    """Return FLOWER_PORT, which Flower itself reads, or Flower's own default."""
    try:
        return parsing.port(environ.get("FLOWER_PORT") or str(FLOWER_PORT))
    except ValueError as exc:
        raise SettingsError(f"FLOWER_PORT is wrong: {exc}") from exc


def environment(environ: Mapping[str, str], places: Places) -> dict[str, str]:
    """Return what every child gets: ours, our virtual environment's programs, and our mark."""
    programs = Path(sys.executable).parent
    return {
        **environ,
        "PATH": f"{programs}:{environ.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",  # a log shows its line when it is written
        leftovers.MARK: str(places.data),
    }
