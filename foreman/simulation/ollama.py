"""The simulated Ollama as a process: built, announced, and served until it is told to stop."""

import signal

import gevent
from gevent.event import Event

from foreman.simulation.app import App
from foreman.simulation.config import SimulationConfig, add_arguments, config_from
from foreman.simulation.engine import Engine
from foreman.simulation.server import Server

__all__ = ["READY", "SimulationConfig", "add_arguments", "config_from", "serve"]

# The one line on stdout; whoever started the process reads the address from it.
READY = "simulated ollama ready at "


def serve(config: SimulationConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = App(Engine(config))
    server = Server(config.host, config.port, app)
    app.control.server = server
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopped.set)
    print(f"{READY}{server.url}", flush=True)
    stopped.wait()
