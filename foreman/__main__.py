"""The command line: `python -m foreman COMMAND`."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config

from foreman import cli, logs, policy
from foreman.config import load, variables
from foreman.core.arrivals import Arrival
from foreman.errors import ForemanError
from foreman.listen import LISTEN_PORT, listen
from foreman.parsing import port, webhook_secrets
from foreman.periodic import PeriodicTasks
from foreman.runtime import RelayRuntime
from foreman.services import startup
from foreman.services.deliver import Pump
from foreman.services.old_queues import remove_old_queues
from foreman.services.reap import Reaper
from foreman.services.relay import Relay
from foreman.services.retain import retain
from foreman.simulation import ollama as simulated
from foreman.simulation.drain import command as drain
from foreman.store.history import recorded_arrivals

log = logging.getLogger("foreman")

RELAY_EVERY_S = 0.2
REAP_EVERY_S = 1.0
STOP_LIMIT_S = 10.0  # for what is being reaped and removed
MIGRATIONS = Path(__file__).parent.parent / "migrations" / "alembic.ini"


def migrate(args: argparse.Namespace) -> None:
    """Bring the database to this version's tables."""
    command.upgrade(Config(str(MIGRATIONS)), "head")


def relay(args: argparse.Namespace) -> None:
    """Publish what is owed, reap what is lost, deliver webhooks, remove what is old."""
    settings = load()
    logs.configure(settings.log_level)
    tasks = PeriodicTasks()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: tasks.stopping.set())
    startup.warn(settings)
    startup.check_servers(settings)
    runtime = RelayRuntime(settings)
    log.info("relay started")
    publishing = Relay(runtime)
    pump = Pump(runtime.database, runtime.webhooks, settings)
    pumping = threading.Thread(target=pump.run, args=(tasks.stopping,), name="pump")
    pumping.start()
    tasks.start("reap", REAP_EVERY_S, Reaper(runtime).reap)
    tasks.start("retain", settings.retention_every_s, lambda: retain(runtime.database, settings))
    tasks.start(
        "old queues",
        settings.retention_every_s,
        lambda: remove_old_queues(runtime, older_than_days=settings.retention_days),
    )
    tasks.run("publish", RELAY_EVERY_S, publishing.publish)
    tasks.stop(STOP_LIMIT_S)
    pumping.join()
    publishing.close()
    runtime.close()


def settings_table(args: argparse.Namespace) -> None:
    """Print every variable as a Markdown table."""
    print("| variable | default | meaning |\n|---|---|---|")
    for names, default, meaning in variables():
        shown = "required" if default is None else f"`{default}`" if default else "none"
        print(f"| {' or '.join(f'`{name}`' for name in names)} | {shown} | {meaning} |")


def simulate_ollama(args: argparse.Namespace) -> None:
    """Serve a simulated Ollama."""
    simulated.serve(simulated.config_from(args))


def simulate(args: argparse.Namespace) -> None:
    """Run arrivals through the drain policy, and others beside it."""
    drain.simulate(args, _recorded)


def _recorded(since: datetime, until: datetime) -> Sequence[Arrival]:
    runtime = RelayRuntime(load())
    try:
        with runtime.database.statement() as connection:
            return list(recorded_arrivals(connection, since=since, until=until))
    finally:
        runtime.close()


def webhook_listen(args: argparse.Namespace) -> None:
    """Print the webhooks that come, for trying them out."""
    listen(args.port, args.secret)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m foreman", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, action in (
        ("migrate", migrate),
        ("relay", relay),
        ("settings", settings_table),
        ("simulate-ollama", simulate_ollama),
        ("simulate", simulate),
        ("webhook-listen", webhook_listen),
    ):
        each = commands.add_parser(name, help=action.__doc__)
        each.set_defaults(action=action)
        if action is simulate_ollama:
            simulated.add_arguments(each)
        if action is simulate:
            drain.add_arguments(each)
        if action is webhook_listen:
            each.add_argument("--port", type=port, default=LISTEN_PORT, help="on 127.0.0.1")
            each.add_argument(
                "--secret", type=webhook_secrets, default=(), help="whsec_…, to verify signatures"
            )
    cli.add_commands(commands)
    policy.add_command(commands)
    return parser


def main() -> int:
    args = _parser().parse_args()
    try:
        status: int | None = args.action(args)
    except ForemanError as error:
        print(f"foreman: {error}", file=sys.stderr)
        return 1
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
