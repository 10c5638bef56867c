"""Break foreman under load, one fault at a time: `python -m tests.chaos --broker redis --seed 1`.

Exits with 1 when a promise was not kept. `docs/reliability.md` shows the rows and the results.
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.chaos import report
from tests.chaos.ground import Ground, Servers
from tests.chaos.row import BROKERS, Row
from tests.chaos.rows import ROWS
from tests.chaos.run import Result, run_row
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
        print(f"{report.promises(ROWS)}\n\n{report.observed(found)}")
        return 0
    signal.signal(signal.SIGTERM, _end)
    results = run(args.broker, _chosen(args.rows, args.broker), args.seed, limit_s=args.seconds)
    if args.json:
        report.write_json(args.json, results)
    return 0 if all(each.is_ok for each in results) else 1


def run(broker: str, rows: list[Row], seed: int, *, limit_s: float | None = None) -> list[Result]:
    """Run the rows in turn, print each result; no new row begins after `limit_s`."""
    results: list[Result] = []
    end_at = time.monotonic() + (limit_s or float("inf"))
    servers = Servers(broker)
    print(report.heading(), flush=True)
    try:
        while len(results) < len(rows) and time.monotonic() < end_at:
            with Ground(servers) as ground:
                for row in rows[len(results) :]:
                    if time.monotonic() >= end_at:
                        break
                    results.append(run_row(row, ground, seed))
                    print(report.line(results[-1]), flush=True)
                    if not results[-1].is_ok:
                        print(report.explained(results[-1]), flush=True)
                        break
                    if not _is_whole_again(ground):
                        break
    finally:
        servers.close()
    return results


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
    parser.add_argument("--broker", choices=BROKERS, default="redis")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", default="all", help="all, or names of rows and parts: a,b,c")
    parser.add_argument("--seconds", type=float, help="begin no row after so many seconds")
    parser.add_argument("--list", action="store_true", help="show the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print the tables out of such files"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
