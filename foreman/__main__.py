"""The command line: `foreman COMMAND`, or `python -m foreman COMMAND`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from foreman.errors import ForemanError
from foreman.version import VERSION

PROG = "foreman"


@dataclass(frozen=True)
class Command:
    """One command: where it is, and what it does.

    `function` adds the arguments and the action to a parser; with `passes_on` it gets the arguments
    as they are and returns the exit status.
    """

    module: str
    function: str
    help: str
    passes_on: bool = False

    def load(self) -> Callable[..., int | None]:
        """Import the function, and with it what this command needs and no other."""
        function: Callable[..., int | None] = getattr(import_module(self.module), self.function)
        return function


PROCESSES = "foreman.commands.processes"
COMMANDS = {
    "up": Command(
        "foreman.embedded.__main__", "main", "start all of foreman on this machine", passes_on=True
    ),
    "web": Command(PROCESSES, "web", "serve clients (options: gunicorn's)", passes_on=True),
    "worker": Command(PROCESSES, "worker", "drive one target (Celery's)", passes_on=True),
    "relay": Command("foreman.commands.relay", "add_to", "reap, deliver webhooks, clean up"),
    "flower": Command(PROCESSES, "flower", "serve Celery's admin page (Flower's)", passes_on=True),
    "migrate": Command("foreman.commands.migrate", "add_to", "update the database's tables"),
    "jobs": Command("foreman.cli", "add_jobs", "submit, list, cancel, … jobs of a running foreman"),
    "deliveries": Command("foreman.cli", "add_deliveries", "list and repeat webhook deliveries"),
    "queues": Command("foreman.policy", "add_queues", "print what waits, by model queue"),
    "policy": Command("foreman.policy", "add_policy", "print each queue's wait and why"),
    "settings": Command("foreman.commands.settings", "add_to", "print every variable"),
    "simulate": Command("foreman.commands.simulate", "add_to", "compare drain policies"),
    "simulate-ollama": Command(
        "foreman.commands.simulate_ollama", "add_to", "serve a simulated Ollama"
    ),
    "webhook-listen": Command(
        "foreman.commands.webhook_listen", "add_to", "print the webhooks that come"
    ),
}


def main() -> int:
    """Run the command of this process; the exit status is 1 when it failed for a known reason."""
    arguments = sys.argv[1:]
    try:
        return _run(arguments)
    except ForemanError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "foreman", "celery_app"):
            raise
        extra = "embedded" if arguments[0] == "up" else "server"
        print(
            f"{PROG}: {arguments[0]} needs the package {missing}:"
            f" pip install 'ollama-foreman[{extra}]'",
            file=sys.stderr,
        )
    return 1


def _run(arguments: Sequence[str]) -> int:
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command and command.passes_on:
        return command.load()(arguments[1:]) or 0
    args = _parser(command).parse_args(arguments)
    status: int | None = args.action(args)
    return status or 0


def _parser(chosen: Command | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, description="A queue in front of Ollama.")
    parser.add_argument("--version", action="version", version=f"{PROG} {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        each = commands.add_parser(name, help=command.help, description=f"{command.help}.")
        if command is chosen:
            command.load()(each)
    return parser


if __name__ == "__main__":
    sys.exit(main())
