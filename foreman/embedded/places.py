"""Where a start keeps its files, who may read them, and that only one start uses them.

The servers run as `nobody` when we are root (PostgreSQL refuses root); their directories are then
owned by it, and nothing outside the data directory is ever made more open than it is.
"""

import fcntl
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.fernet import Fernet

from foreman.embedded.waiting import StartFailed

SERVER_USER = "nobody"
# A unix socket's path holds 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
SOCKET_DIR_BYTES = 107 - len("/.s.PGSQL.5432.lock")


@dataclass(frozen=True)
class Account:
    """The user a server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Places:
    """The directories of one start, all below its data directory but for long socket paths."""

    data: Path
    sockets: Path
    account: Account | None  # None: the servers run as ourselves

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def env_file(self) -> Path:
        """What another terminal sources to reach the private servers."""
        return self.data / "env"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def server_dir(self, name: str) -> Path:
        """Make a directory that only the servers' user may enter."""
        return _private_dir(self.data / name, self.account)


def data_dir(environ: Mapping[str, str], *, is_root: bool) -> Path:
    """Return FOREMAN_DATA_DIR, or the usual place for root or for a user."""
    chosen = environ.get("FOREMAN_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if is_root:
        return Path("/var/lib/foreman")
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local/share") / "foreman"


def socket_dir(data: Path) -> Path:
    """Return `data`/run, or a short plain name for it below /tmp when a socket could not be there.

    Too long for the kernel, or with characters that a URL or PostgreSQL's list of directories
    would read otherwise (space, comma, percent).
    """
    run = data / "run"
    if len(os.fsencode(run)) <= SOCKET_DIR_BYTES and re.fullmatch(r"[\w./-]+", str(run), re.ASCII):
        return run
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path("/tmp") / f"foreman-{digest}"


def server_account() -> Account | None:
    """Return whom the servers run as when that is not ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(SERVER_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def open_places(data: Path) -> Places:
    """Make the directories of a start; StartFailed when the servers could not reach them."""
    account = server_account()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:  # passing through is enough: every directory inside has its own owner
            data.chmod(data.stat().st_mode | 0o011)
        places = Places(data, socket_dir(data), account)
        _private_dir(places.logs, None)
        _private_dir(places.sockets, account)
    except OSError as exc:
        raise StartFailed(f"{data} cannot be used as data directory: {exc}") from exc
    if account and not _can_enter(account, data):
        raise StartFailed(
            f"the database server may not run as root, and the user {SERVER_USER} cannot reach "
            f"{data}: choose another directory with FOREMAN_DATA_DIR"
        )
    return places


def lock(places: Places) -> IO[str]:
    """Take the data directory for this process; the lock lasts while the file is open."""
    file = (places.data / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise StartFailed(
            f"foreman already runs on {places.data} (process {holder}): stop it, or choose "
            "another directory with FOREMAN_DATA_DIR"
        ) from exc
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    unfinished.rename(path)


def secret_key(places: Places) -> str:
    """The key that webhook secrets are encrypted with; made at the first start, then kept."""
    path = places.data / "secret_key"
    if not path.exists():
        write_private(path, Fernet.generate_key().decode())
    path.chmod(0o600)
    return path.read_text().strip()


def reachable_copy(places: Places, name: str, base: Path, parts: list[str]) -> Path:
    """Return the directory below which the servers' user can read `parts` of `base`.

    As ourselves that is `base`. As root they are copied once, since a virtual environment may be
    below /root; `name` carries the version, so a new one is copied anew.
    """
    if places.account is None:
        return base
    copies = places.data / "programs" / name
    if not copies.exists():
        unfinished = copies.with_name(f"{name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in parts:
            _copy(base / part, unfinished / part)
        _open_for_reading(copies.parent)
        unfinished.rename(copies)
    return copies


def _private_dir(path: Path, account: Account | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    owner = account.uid if account else os.geteuid()
    found = path.lstat()
    if account and found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
        os.chown(path, account.uid, account.gid)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise StartFailed(f"{path} belongs to another user")
    path.chmod(0o700)
    return path


def _copy(source: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, copy, symlinks=True)
    else:
        shutil.copy(source, copy)


def _open_for_reading(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if is_program else 0o644)


def _can_enter(account: Account, path: Path) -> bool:
    """Ask the kernel, as that user: modes alone do not tell (ACLs, mounts)."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0
