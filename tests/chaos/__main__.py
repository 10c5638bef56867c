"""Break foreman under load, one fault at a time: `python -m tests.chaos --broker redis --seed 1`.

Exits with 1 when a promise was not kept. `docs/reliability.md` shows the rows and the results.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.chaos import report
from tests.chaos.ground import LEASE_S, Ground, started_servers
from tests.chaos.result import Result
from tests.chaos.row import BROKERS, Row
from tests.chaos.rows import ROWS
from tests.chaos.run import run_row
from tests.stack import wait_for

# What a foreman may need after a row before it counts as broken and is replaced.
WHOLE_LIMIT_S = 20.0


def main() -> int:
    args = _parser().parse_args()
    if args.list:
        print("\n".join(f"{row.part:<10} {row.name:<28} {row.does}" for row in ROWS))
        return 0
    if args.table:
        found = report.read_json(args.table)
        print(f"{report.promises(ROWS)}\n\n{report.observed(ROWS, found)}\n\n{report.seen(found)}")
        return 0
    signal.signal(signal.SIGTERM, _end)
    results: list[Result] = []
    end_at = time.monotonic() + (args.seconds or float("inf"))
    for seed in map(int, args.seed.split(",")):
        for broker in BROKERS if args.broker == "both" else [args.broker]:
            print(f"{broker}, seed {seed}\n{report.heading()}", flush=True)
            rows = _chosen(args.rows, broker)
            for result in run(broker, rows, seed, end_at, logs=args.logs, lease_s=args.lease):
                results.append(result)
                _keep(results, args)
    return 0 if all(each.is_ok for each in results) else 1


def run(
    broker: str, rows: list[Row], seed: int, end_at: float, *, logs: Path | None, lease_s: float
) -> Iterator[Result]:
    """Run the rows in turn and print each result; none begins after `end_at` (monotonic)."""
    count = 0
    with started_servers(broker) as servers:
        while count < len(rows) and time.monotonic() < end_at:
            with Ground(servers, lease_s=lease_s) as ground:
                for row in rows[count:]:
                    if time.monotonic() >= end_at:
                        return
                    result = run_row(row, ground, seed)
                    count += 1
                    if logs and not result.is_ok:
                        ground.keep_logs(logs / f"{broker}-{seed}-{row.name}")
                    print(report.line(result), flush=True)
                    yield result
                    if not result.is_ok or not _is_whole_again(ground):
                        break


def _keep(results: list[Result], args: argparse.Namespace) -> None:
    """Write what there is after each row: a run that is ended early loses nothing."""
    if not results[-1].is_ok:
        print(report.explained(results[-1]), flush=True)
    if args.json:
        report.write_json(args.json, results)
    if args.write:
        report.write_page(args.write, ROWS, results)


def _is_whole_again(ground: Ground) -> bool:
    try:
        return wait_for(ground.is_whole, WHOLE_LIMIT_S, "the foreman is whole again")
    except AssertionError:
        return False


def _chosen(names: str, broker: str) -> list[Row]:
    able = {row.name: row for row in ROWS if broker in row.brokers}
    if names == "all":
        return list(able.values())
    chosen = []
    for name in names.split(","):
        found = [row for row in able.values() if name in (row.name, row.part)]
        if not found:
            sys.exit(f"no such row on {broker}: {name}; --list shows them")
        chosen += found
    return chosen


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)  # so that everything started is ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--broker", choices=(*BROKERS, "both"), default="redis")
    parser.add_argument("--seed", default="1", help="one, or several: 1,2,3")
    parser.add_argument("--rows", default="all", help="all, or names of rows and parts: a,b,c")
    parser.add_argument("--seconds", type=float, help="begin no row after so many seconds")
    parser.add_argument("--lease", type=float, default=LEASE_S, help="FOREMAN_LEASE_S, seconds")
    parser.add_argument("--list", action="store_true", help="show the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into a page")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of violated rows")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print the tables out of such files"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
