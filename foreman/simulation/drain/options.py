"""The options of `foreman simulate`, and what is refused."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from foreman.errors import SettingsError
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.arrivals import SHAPES, Load
from foreman.simulation.drain.policies import POLICIES
from foreman.sizes import size_bytes

RECORDED = "postgres"
AGENTS = "agents"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; what is recorded has its own models, load and lengths of runs."""
    load = Load()
    parser.add_argument(
        "--arrivals",
        default="poisson",
        metavar="|".join([*SHAPES, AGENTS, RECORDED, "FILE.csv"]),
        help="made up, recorded by foreman, or lines of time,model,class,seconds",
    )
    made = parser.add_argument_group("made-up arrivals")
    made.add_argument("--jobs", type=int, default=load.jobs)
    made.add_argument(
        "--models",
        default=str(load.models),
        metavar="N|NAME[=SIZE],...",
        help="how many, or which, with the size of each: a=4GiB,b=12GiB",
    )
    made.add_argument("--rho", type=float, default=load.rho, help="load by jobs; 1 is all slots")
    made.add_argument("--service-s", type=float, default=load.service_s, help="mean run of a job")
    made.add_argument("--batch-share", type=float, default=load.batch_share)
    made.add_argument("--burst-jobs", type=int, default=load.burst_jobs)
    made.add_argument("--seed", type=int, default=load.seed)
    closed = parser.add_argument_group("agents: clients that ask, think, and ask again")
    closed.add_argument("--clients", type=int, default=2, help="the n-th asks for the n-th model")
    closed.add_argument("--think-s", type=float, default=0.5, help="mean pause after an answer")
    closed.add_argument("--span-s", type=float, help="ask for so long, instead of --jobs")
    closed.add_argument("--steady", action="store_true", help="all runs and pauses are the mean")
    recorded = parser.add_argument_group("recorded arrivals")
    recorded.add_argument("--since", help="ISO 8601; a day ago when it is left out")
    recorded.add_argument("--until", help="ISO 8601; now when it is left out")
    _add_fleet(parser)
    parser.add_argument(
        "--compare-ollama",
        type=int,
        metavar="DRAWS",
        help="ours and Ollama's own order on so many draws of several patterns, 1 to 3 residents",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="needs matplotlib")
    parser.add_argument("--json", action="store_true")


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    rules = VisitRules()
    fleet = parser.add_argument_group("targets and policy")
    fleet.add_argument("--targets", type=int, default=1)
    fleet.add_argument("--slots", type=int, default=1, help="of each resident model")
    fleet.add_argument("--residents", type=int, help="models that a target holds; default 1")
    fleet.add_argument("--memory", type=_size, metavar="SIZE", help="of a target; needs sizes")
    fleet.add_argument("--learn", action="store_true", help="ours has to learn the room")
    fleet.add_argument("--swap-s", type=float, default=5.0, help="what a load costs")
    fleet.add_argument("--max-wait-interactive", type=float, default=rules.max_wait_interactive_s)
    fleet.add_argument("--max-wait-batch", type=float, default=rules.max_wait_batch_s)
    fleet.add_argument(
        "--min-visit-swaps",
        type=_auto,
        metavar="auto|NUMBER",
        help="a visit lasts so many of its loads before it may be cut; auto follows the load",
    )
    fleet.add_argument("--linger", type=_auto, metavar="auto|off|SECONDS", help="default auto")
    fleet.add_argument("--policies", default=",".join(POLICIES), help="to compare")


def check(args: argparse.Namespace) -> None:
    """SettingsError names the first option that makes no sense."""
    for name in (
        "jobs",
        "burst_jobs",
        "targets",
        "slots",
        "residents",
        "clients",
        "compare_ollama",
    ):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is at least 1")
    for name in ("rho", "service_s", "span_s"):
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is more than 0")
    for name in (
        "swap_s", "think_s", "min_visit_swaps", "linger", "max_wait_interactive", "max_wait_batch",
    ):  # fmt: skip
        value = getattr(args, name)
        if value is not None and not value >= 0:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is 0 or more")
    if not 0 <= args.batch_share <= 1:
        raise SettingsError("simulate: --batch-share is between 0 and 1")


def models(args: argparse.Namespace) -> Mapping[str, int | None]:
    """The models' names, and their sizes in bytes as far as they are given."""
    text = str(args.models)
    if text.lstrip("-").isdigit():
        if int(text) < 1:
            raise SettingsError("simulate: --models is at least 1")
        return dict.fromkeys(Load(models=int(text)).queues)
    found: dict[str, int | None] = {}
    for part in text.split(","):
        name, has_size, size = part.strip().partition("=")
        if not name or name in found:
            raise SettingsError(f"simulate: --models: {part!r} has no name, or one that is taken")
        try:
            found[name] = size_bytes(size) if has_size else None
        except ValueError as exc:
            raise SettingsError(f"simulate: --models: the size of {name} {exc}") from exc
    return found


def _size(text: str) -> int:
    try:
        return size_bytes(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _auto(text: str) -> float | None:
    if text == "auto":
        return None
    return 0.0 if text == "off" else float(text)
