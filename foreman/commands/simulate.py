"""`foreman simulate`: arrivals, made up or recorded, run through the drain policy and others."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from foreman.config import load
from foreman.core.arrivals import Arrival
from foreman.runtime import RelayRuntime
from foreman.simulation.drain.command import add_arguments, simulate
from foreman.store.history import recorded_arrivals


def add_to(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.set_defaults(action=partial(simulate, read_recorded=_recorded))


def _recorded(since: datetime, until: datetime) -> Sequence[Arrival]:
    runtime = RelayRuntime(load())
    try:
        with runtime.database.statement() as connection:
            return list(recorded_arrivals(connection, since=since, until=until))
    finally:
        runtime.close()
