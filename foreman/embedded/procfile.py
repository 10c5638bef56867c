"""The Procfile, read as Heroku reads it but without a shell, and who runs how often here."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from foreman.embedded.waiting import StartFailed

SHELL_SIGNS = frozenset("$`|&;<>*?")


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Return each process type's command as words; StartFailed names a line that has none."""
    commands = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, command = line.partition(":")
        if not separator or not command.strip() or SHELL_SIGNS & set(command):
            raise StartFailed(f"Procfile: this line is not `name: a plain command`: {line}")
        commands[name.strip()] = tuple(shlex.split(command))
    return commands


def read(path: Path) -> dict[str, tuple[str, ...]]:
    return parse(path.read_text())


def programs(
    commands: Mapping[str, tuple[str, ...]], *, workers: int, has_flower: bool
) -> dict[str, tuple[str, ...]]:
    """Return what runs all the time, by name: a worker for each target, each with its own name."""
    counts = {"worker": workers, "flower": int(has_flower)}
    running = {}
    for kind, argv in commands.items():
        if kind == "worker":
            for number in range(1, counts[kind] + 1):
                running[f"worker{number}"] = (*argv, "-n", f"worker{number}@%h")
        elif kind != "release" and counts.get(kind, 1):
            running[kind] = argv
    return running
