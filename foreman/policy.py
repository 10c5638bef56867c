"""`foreman policy` and `foreman queues`: what waits, for how long, and by what rule."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from foreman.cli import asking
from foreman.client import Client

GIB = 1024**3

_HEAD = (
    f"{'':44} {'wait':>7} | {'promise':>15} | {'forecast':>15} | {'load':>6} {'run':>6}",
    f"{'model queue':44} {'oldest':>7} | {'inter.':>7} {'batch':>7} | {'p50':>7} {'p90':>7} |"
    f" {'s':>6} {'p50 s':>6}  why",
)


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `foreman policy`."""
    _add(parser, policy)


def add_queues(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `foreman queues`."""
    _add(parser, queues)


def _add(parser: argparse.ArgumentParser, verb: Callable[..., None]) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(action=asking, verb=verb)


def queues(client: Client, args: argparse.Namespace) -> None:
    """Print what waits in each model queue, and where it is loaded; the longest wait first."""
    found = client.queues()
    if args.json:
        for each in found:
            print(json.dumps(each))
        return
    print(f"{'model queue':44} {'waiting':>8} {'oldest s':>9}  loaded on")
    for each in found:
        waiting = sum(each["waiting"].values())
        oldest = _number(max(each["oldest_wait_s"].values(), default=None))
        print(f"{each['queue']:44} {waiting:>8} {oldest:>9}  {', '.join(each['resident_on'])}")


def policy(client: Client, args: argparse.Namespace) -> None:
    """Print the queues of a running foreman (FOREMAN_URL, or 127.0.0.1:$PORT).

    The promise is by when a queue is loaded at the latest; the forecast, when its next job probably
    starts.
    """
    queues, targets = client.queues(), client.targets()
    if args.json:
        for each in queues:
            print(json.dumps(each))
        return
    for target in targets:
        print(_target_line(target))
    print(*_HEAD, sep="\n")
    for each in queues:
        print(_line(each))


def _target_line(target: dict[str, Any]) -> str:
    names = [each["model"] or each["queue"] for each in target["residents"]]
    loading = [f"loading {each['model'] or each['queue']}" for each in target["loading"]]
    fits = target["room"]["fits"]
    lingers = target["lingers"]
    state = target["sick_reason"] or ("" if target["is_live"] else "no worker drives it")
    return (
        f"{target['name']}: {', '.join(names + loading) or 'nothing loaded'};"
        f" fits {fits['residents']} ({fits['size_bytes'] / GIB:.1f} GiB);"
        f" lingers {lingers['answered']} of {lingers['ended']}" + (f"; {state}" if state else "")
    )


def _line(queue: dict[str, Any]) -> str:
    bounds = queue["bound_s"]
    return (
        f"{queue['queue']:44} {_number(max(queue['oldest_wait_s'].values(), default=None)):>7} |"
        f" {_number(bounds.get('interactive')):>7} {_number(bounds.get('batch')):>7} |"
        f" {_number(queue['starts_p50_s']):>7} {_number(queue['starts_p90_s']):>7} |"
        f" {_number(min(queue['swap_s'].values(), default=None)):>6}"
        f" {_number(queue['run_p50_s']):>6}  {queue['why']}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
