"""`foreman settings`: every variable as a Markdown table; docs/settings.md is made by it."""

import argparse

from foreman.config import variables


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=settings)


def settings(args: argparse.Namespace) -> None:
    """Print every variable as a Markdown table."""
    print("| variable | default | meaning |\n|---|---|---|")
    for names, default, meaning in variables():
        shown = "required" if default is None else f"`{default}`" if default else "none"
        print(f"| {' or '.join(f'`{name}`' for name in names)} | {shown} | {meaning} |")
