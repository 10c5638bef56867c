"""`foreman simulate`: its arguments, and the run."""

import argparse
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from foreman.core.arrivals import Arrival
from foreman.errors import SettingsError
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.arrivals import SHAPES, Load
from foreman.simulation.drain.compare import Ground, ground, run
from foreman.simulation.drain.plot import DRAWN, check_matplotlib, draw
from foreman.simulation.drain.policies import POLICIES
from foreman.simulation.drain.recorded import read_csv
from foreman.simulation.drain.report import as_json, as_text

RECORDED = "postgres"
# Gives the jobs that were accepted between two moments.
ReadRecorded = Callable[[datetime, datetime], Sequence[Arrival]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; what is recorded has its own models, load and lengths of runs."""
    load, rules = Load(), VisitRules()
    parser.add_argument(
        "--arrivals",
        default="poisson",
        metavar="|".join([*SHAPES, RECORDED, "FILE.csv"]),
        help="made up, recorded by foreman, or lines of time,model,class,seconds",
    )
    made = parser.add_argument_group("made-up arrivals")
    made.add_argument("--jobs", type=int, default=load.jobs)
    made.add_argument("--models", type=int, default=load.models)
    made.add_argument("--rho", type=float, default=load.rho, help="load by jobs; 1 is all slots")
    made.add_argument("--service-s", type=float, default=load.service_s, help="mean run of a job")
    made.add_argument("--batch-share", type=float, default=load.batch_share)
    made.add_argument("--burst-jobs", type=int, default=load.burst_jobs)
    made.add_argument("--seed", type=int, default=load.seed)
    recorded = parser.add_argument_group("recorded arrivals")
    recorded.add_argument("--since", help="ISO 8601; a day ago when it is left out")
    recorded.add_argument("--until", help="ISO 8601; now when it is left out")
    fleet = parser.add_argument_group("targets and policy")
    fleet.add_argument("--targets", type=int, default=1)
    fleet.add_argument("--slots", type=int, default=1, help="of each target")
    fleet.add_argument("--swap-s", type=float, default=5.0, help="what a swap costs")
    fleet.add_argument("--kappa", type=float, default=None)
    fleet.add_argument("--max-wait-interactive", type=float, default=rules.max_wait_interactive_s)
    fleet.add_argument("--max-wait-batch", type=float, default=rules.max_wait_batch_s)
    fleet.add_argument("--policies", default=",".join(POLICIES), help="to compare")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="needs matplotlib")
    parser.add_argument("--json", action="store_true")


def simulate(args: argparse.Namespace, read_recorded: ReadRecorded) -> None:
    """Run the arrivals through each policy and print what came of it."""
    policies = [name.strip() for name in str(args.policies).split(",")]
    if unknown := [name for name in policies if name not in POLICIES]:
        raise SettingsError(f"simulate: no policy {unknown[0]!r}; there are {', '.join(POLICIES)}")
    if args.plot:
        check_matplotlib()
    on = _ground(args, read_recorded)
    outcomes, tallies = [], {}
    for name in policies:
        outcome, tally = run(name, on, keep=DRAWN if args.plot else 0)
        outcomes.append(outcome)
        if args.plot:
            tallies[name] = tally
    print(as_json(on, outcomes) if args.json else as_text(on, outcomes))
    if args.plot:
        draw(tallies, args.plot)


def _ground(args: argparse.Namespace, read_recorded: ReadRecorded) -> Ground:
    _check(args)
    arrivals = _arrivals(args, read_recorded)
    if not arrivals:
        raise SettingsError("simulate: there are no arrivals")
    rules = VisitRules(args.max_wait_interactive, args.max_wait_batch, min_visit_swaps=args.kappa)
    return ground(arrivals, rules, swap_s=args.swap_s, targets=args.targets, slots=args.slots)


def _arrivals(args: argparse.Namespace, read_recorded: ReadRecorded) -> Sequence[Arrival]:
    if args.arrivals == RECORDED:
        until = _moment(args.until) if args.until else datetime.now(UTC)
        since = _moment(args.since) if args.since else until - timedelta(days=1)
        return read_recorded(since, until)
    if args.arrivals not in SHAPES:
        return read_csv(Path(args.arrivals))
    load = Load(
        jobs=args.jobs,
        models=args.models,
        rho=args.rho,
        service_s=args.service_s,
        batch_share=args.batch_share,
        burst_jobs=args.burst_jobs,
        places=args.targets * args.slots,
        seed=args.seed,
    )
    return list(SHAPES[args.arrivals](load))


def _check(args: argparse.Namespace) -> None:
    for name in ("jobs", "models", "burst_jobs", "targets", "slots"):
        if getattr(args, name) < 1:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is at least 1")
    for name in ("rho", "service_s"):
        if not 0 < getattr(args, name) < math.inf:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is more than 0")
    for name in ("swap_s", "max_wait_interactive", "max_wait_batch"):
        if not getattr(args, name) >= 0:
            raise SettingsError(f"simulate: --{name.replace('_', '-')} is 0 or more")
    if not 0 <= args.batch_share <= 1:
        raise SettingsError("simulate: --batch-share is between 0 and 1")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(f"simulate: {text!r} is no date: {exc}") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
