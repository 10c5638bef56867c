"""`foreman relay`: wake-ups that are owed, jobs of dead processes, webhooks, old rows."""

import argparse
import logging
import signal
import threading

from foreman import logs
from foreman.config import load
from foreman.errors import SettingsError
from foreman.periodic import PeriodicTasks
from foreman.runtime import RelayRuntime
from foreman.services import startup
from foreman.services.deliver import Pump
from foreman.services.old_queues import remove_old_queues
from foreman.services.reap import Reaper
from foreman.services.relay import Relay
from foreman.services.retain import retain

log = logging.getLogger("foreman")

RELAY_EVERY_S = 0.2
REAP_EVERY_S = 1.0
STOP_LIMIT_S = 10.0  # for what is being reaped and removed


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=relay)


def relay(args: argparse.Namespace) -> None:
    """Publish what is owed, reap what is lost, deliver webhooks, remove what is old."""
    settings = load()
    logs.configure(settings.log_level)
    tasks = PeriodicTasks()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: tasks.stopping.set())
    if problem := startup.tables_problem(settings):
        raise SettingsError(problem)
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
