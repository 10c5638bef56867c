"""Draining, live: `python -m tests.bench.drain [--span S] [--write FILE] [--picture FILE.png]`.

The same requests to a simulated Ollama alone, and through foreman on both brokers, with longest
waits that are not reached and with short ones.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench import report
from tests.bench.drain import promises, tables
from tests.bench.drain.observed import Observed
from tests.bench.drain.picture import draw
from tests.bench.drain.policy import simulate
from tests.bench.drain.run import PICK_UPS, run_alone, run_foreman
from tests.bench.drain.trace import Request, poisson
from tests.bench.ground import RABBITMQ, REDIS, Ground

REQUESTS, SPAN_S = 120, 20.0
PATIENT_S, SHORT_S = 600.0, 3.0
# A limit that no job comes near would make the bound so wide that nothing could break it.
JOB_LIMIT_S = 2.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drain", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests: does it run?")
    parser.add_argument("--span", type=float, default=SPAN_S, help="seconds in which they come")
    parser.add_argument("--calm", action="store_true", help="without the ways with short waits")
    parser.add_argument("--slots", type=int, default=1, help="of the target")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    parser.add_argument("--picture", type=Path, help="PNG file; needs matplotlib")
    parser.add_argument("--json", type=Path, help="file for all that was observed")
    return parser.parse_args()


def _settings(max_wait_s: float) -> dict[str, str]:
    return {
        "FOREMAN_MAX_WAIT_INTERACTIVE": f"{max_wait_s:g}",
        "FOREMAN_JOB_TIMEOUT": f"{JOB_LIMIT_S:g}",
    }


def _calm(ground: Ground, trace: Sequence[Request], slots: int, pick_ups: int) -> list[Observed]:
    return [
        run_foreman(ground, way, way, trace, _settings(PATIENT_S), slots=slots, pick_ups=pick_ups)
        for way in (REDIS, RABBITMQ)
    ]


def _forced(ground: Ground, trace: Sequence[Request], slots: int) -> list[Observed]:
    return [
        run_foreman(ground, way, f"{way}, {SHORT_S:g} s", trace, _settings(SHORT_S), slots=slots)
        for way in (REDIS, RABBITMQ)
    ]


def main() -> None:
    args = _arguments()
    trace = poisson(20, 4.0) if args.quick else poisson(REQUESTS, args.span)
    alone = run_alone(trace, args.slots)
    with Ground() as ground:
        runs = _calm(ground, trace, args.slots, 10 if args.quick else PICK_UPS)
        if not args.calm:
            runs += _forced(ground, trace, args.slots)
        facts = report.machine() | ground.versions()
    simulated = {
        "the policy, simulated": simulate(trace, max_wait_s=PATIENT_S, slots=args.slots),
        f"the policy, {SHORT_S:g} s, simulated": simulate(
            trace, max_wait_s=SHORT_S, slots=args.slots
        ),
    }
    sections = [
        tables.loads(trace, alone, runs, simulated),
        tables.waits([alone, *runs]),
        promises.ledger(runs, alone),
        promises.promptness(runs),
    ]
    told = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    text = "\n\n".join([told, *(report.section(each, level=3) for each in sections)]) + "\n"
    print(text)
    if args.write:
        args.write.write_text(text)
    if args.picture:
        draw([alone, *(run for run in runs if REDIS in run.name)], args.picture)
    if args.json:
        args.json.write_text(json.dumps([asdict(run) for run in (alone, *runs)], default=str))


if __name__ == "__main__":
    main()
