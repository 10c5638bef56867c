"""`foreman simulate`: its arguments, and the run."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from foreman.core.arrivals import Arrival
from foreman.errors import SettingsError
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain import options, versus
from foreman.simulation.drain.agents import LONGEST, Agents, Crowd
from foreman.simulation.drain.arrivals import SHAPES, Load
from foreman.simulation.drain.compare import Ground, ground, run
from foreman.simulation.drain.fleet import Memory
from foreman.simulation.drain.plot import DRAWN, check_matplotlib, draw
from foreman.simulation.drain.policies import POLICIES
from foreman.simulation.drain.recorded import read_csv
from foreman.simulation.drain.report import as_json, as_text

# Gives the jobs that were accepted between two moments.
ReadRecorded = Callable[[datetime, datetime], Sequence[Arrival]]

add_arguments = options.add_arguments


def simulate(args: argparse.Namespace, read_recorded: ReadRecorded) -> None:
    """Run the arrivals through each policy and print what came of it."""
    options.check(args)
    if args.compare_ollama is not None:
        found = list(versus.cases(args.compare_ollama, _rules(args), is_room_known=not args.learn))
        print(versus.as_text(found))
        return
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


def _rules(args: argparse.Namespace) -> VisitRules:
    return VisitRules(
        args.max_wait_interactive,
        args.max_wait_batch,
        min_visit_swaps=args.min_visit_swaps,
        linger_s=args.linger,
    )


def _ground(args: argparse.Namespace, read_recorded: ReadRecorded) -> Ground:
    models = options.models(args)
    residents = args.residents or (None if args.memory is not None else 1)
    memory = Memory(residents, args.memory, {name: size or 0 for name, size in models.items()})
    if args.arrivals == options.AGENTS:
        on = _crowded(args, tuple(models), memory)
    else:
        arrivals = _arrivals(args, tuple(models), read_recorded)
        if not arrivals:
            raise SettingsError("simulate: there are no arrivals")
        fleet = {"targets": args.targets, "slots": args.slots}
        on = ground(arrivals, _rules(args), swap_s=args.swap_s, memory=memory, **fleet)
    if args.memory is not None and (
        unsized := [each for each in on.swap_s if not models.get(each)]
    ):
        raise SettingsError(f"simulate: --memory needs a size of {unsized[0]}: --models NAME=SIZE")
    return replace(on, is_room_known=not args.learn)


def _crowded(args: argparse.Namespace, queues: tuple[str, ...], memory: Memory) -> Ground:
    crowd = Crowd(
        queues=queues,
        clients=args.clients,
        think_s=args.think_s,
        service_s=args.service_s,
        jobs=-(-args.jobs // args.clients) if args.span_s is None else None,
        span_s=float("inf") if args.span_s is None else args.span_s,
        is_steady=args.steady,
        seed=args.seed,
    )
    rules = replace(_rules(args), job_limit_s=LONGEST * args.service_s)
    swap_s = dict.fromkeys(queues, args.swap_s)
    agents = partial(Agents, crowd)
    return Ground((), rules, swap_s, args.targets, args.slots, memory, clients=agents)


def _arrivals(
    args: argparse.Namespace, queues: tuple[str, ...], read_recorded: ReadRecorded
) -> Sequence[Arrival]:
    if args.arrivals == options.RECORDED:
        until = _moment(args.until) if args.until else datetime.now(UTC)
        since = _moment(args.since) if args.since else until - timedelta(days=1)
        return read_recorded(since, until)
    if args.arrivals not in SHAPES:
        return read_csv(Path(args.arrivals))
    load = Load(
        jobs=args.jobs,
        names=queues,
        rho=args.rho,
        service_s=args.service_s,
        batch_share=args.batch_share,
        burst_jobs=args.burst_jobs,
        places=args.targets * args.slots,
        seed=args.seed,
    )
    return list(SHAPES[args.arrivals](load))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(f"simulate: {text!r} is no date: {exc}") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
