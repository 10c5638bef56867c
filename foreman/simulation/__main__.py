"""`python -m foreman.simulation`: the same as `python -m foreman simulate-ollama`."""

import argparse

from foreman.simulation.ollama import add_arguments, config_from, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulate-ollama", description=__doc__)
    add_arguments(parser)
    serve(config_from(parser.parse_args()))


if __name__ == "__main__":
    main()
