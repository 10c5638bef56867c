"""`foreman up`, which `bin/run` calls: one data directory, one start, and nothing left after it."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from foreman.embedded import leftovers
from foreman.embedded.launch import INSTANCE, SIMULATED, Launch, say
from foreman.embedded.places import Places, data_dir, lock, open_places, socket_dir
from foreman.embedded.waiting import Stopped, StopRequest
from foreman.errors import ForemanError

PROG = "foreman up"


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: 0 after a stop that was asked for, 1 when the start failed."""
    parser = argparse.ArgumentParser(prog=PROG, description="Start all of foreman here.")
    parser.add_argument(
        "--fresh", action="store_true", help="remove the database and the queue first"
    )
    parser.add_argument(
        "--demo", action="store_true", help="start a simulated Ollama, and use no other"
    )
    options = parser.parse_args(arguments)
    request = StopRequest()
    request.install()
    try:
        run(fresh=options.fresh, is_demo=options.demo, request=request)
    except Stopped:
        say("stopped")
        return 0
    except ForemanError as exc:
        print(f"{PROG}: {exc}", file=sys.stderr)
        return 1
    return 0


def run(*, fresh: bool, is_demo: bool, request: StopRequest) -> None:
    """Start, keep and stop everything; leaves by Stopped or an error."""
    places = open_places(data_dir(os.environ, is_root=os.geteuid() == 0))
    forget_sourced_env(places)
    forget_libpq_variables()
    with lock(places):
        count = leftovers.stop(places.data, check=request.check)
        if count:
            say(f"stopped {count} processes that an earlier start left behind")
        if fresh:
            erase(places)
        launch = Launch(os.environ, places, request, is_demo=is_demo)
        try:
            launch.start()
            launch.keep()
        finally:
            if request.count:
                say("\nstopping: running jobs get up to 20 s (Ctrl-C again: at once)")
            launch.stop()


def forget_sourced_env(places: Places) -> None:
    """Remove from our environment what an `env` file put there for Celery's commands.

    The private servers of an earlier start ended with it; those of an instance in another data
    directory are that one's alone, and so is its port.
    """
    for data in {places.data, Path(os.environ.pop(INSTANCE, places.data))}:
        marks = {
            "DATABASE_URL": str(socket_dir(data)),
            "FOREMAN_BROKER_URL": str(socket_dir(data)),
            "FOREMAN_TARGETS": f"{SIMULATED}=http://127.0.0.1:",
        }
        if data != places.data:
            say(f"this shell has read the env file of {data}: its servers and port are not used")
            marks["PORT"] = ""
        with suppress(OSError):
            for word in shlex.split((data / "env").read_text()):
                name, _, value = word.partition("=")
                if os.environ.get(name) == value and marks.get(name, "\n") in value:
                    del os.environ[name]


def forget_libpq_variables() -> None:
    """PGPORT, PGSERVICE and the like would lead our clients away from the private server."""
    if not os.environ.get("DATABASE_URL"):
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]


def erase(places: Places) -> None:
    """Remove the database and the queue of this data directory, and nothing else."""
    for name in ("postgres", "valkey"):
        path = places.data / name
        if path.exists():
            say(f"removing {path}")
            shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
