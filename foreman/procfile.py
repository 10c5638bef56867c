"""The Procfile, read as Heroku reads it but without a shell."""

import shlex
from pathlib import Path

from foreman.errors import ForemanError

SHELL_SIGNS = frozenset("$`|&;<>*?")


class ProcfileWrong(ForemanError):
    """A line of the Procfile cannot be used."""

    code = "procfile_wrong"


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Return each process type's command as words; ProcfileWrong names a line that has none."""
    commands = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, command = line.partition(":")
        if not separator or not command.strip() or SHELL_SIGNS & set(command):
            raise ProcfileWrong(f"Procfile: this line is not `name: a plain command`: {line}")
        commands[name.strip()] = tuple(shlex.split(command))
    return commands


def read(path: Path) -> dict[str, tuple[str, ...]]:
    """The commands of the Procfile at `path`."""
    return parse(path.read_text())
