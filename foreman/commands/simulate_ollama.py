"""`foreman simulate-ollama`: a simulated Ollama, for trying things out without a GPU."""

import argparse

from foreman.simulation.ollama import add_arguments, config_from, serve


def add_to(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.set_defaults(action=lambda args: serve(config_from(args)))
